"""Everything on one machine: attestation, Keycloak, the services; started in order, and gone when this process is.

The same objects as anywhere else are composed here.  What a walkthrough or a test needs besides, an intruder inside a
genuine workload, is launched only where it is asked for by name.
"""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.authority import Authority
from authorities.attestation.launch import Launch, Launched
from authorities.registry.realm import SCRIPT
from demo.keycloak import HEALTH_PORT, PORT, Keycloak, check_port
from demo.runtime import Say, check_space
from zerotrust.audit import records
from zerotrust.lock import load_lock
from zerotrust.registry import Registry, load_registry

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
SECONDS_TO_START = 30
SPACE = 100
"""Megabytes: several times what a run takes."""
PID_FILE = "running.pid"
INSIDER = ("lab/insider", "zerotrust")
"""The code that stands for an intruder; see `lab/insider/main.py`."""


class DemoError(Exception):
    """It does not run.  The text names the cause and the next step."""


@dataclass(frozen=True, slots=True)
class System:
    """What runs, and where its traces are."""

    registry: Registry
    folder: Path
    keycloak: Keycloak
    authority: Authority

    def address(self, name: str) -> str:
        """Where a party is found."""
        return f"http://{HOST}:{self.registry.parties[name].port}"

    def log(self, name: str) -> Path:
        """A party's log, in JSON lines."""
        return self.folder / "logs" / f"{name.replace('/', '-')}.log"

    def records(self, name: str) -> list[dict[str, Any]]:
        """What a party has written down."""
        return list(records(self.journal(name)))

    def journal(self, name: str) -> Path:
        """Where a party writes down what it decided."""
        return self.data(name) / "journal.jsonl"

    async def assertion(self, name: str) -> str:
        """What an intruder inside the workload `name` can get: a JWT-SVID for the realm, good for 60 s."""
        reader, writer = await asyncio.open_unix_connection(_insider_socket(self.folder, name))
        writer.write(f"{self.keycloak.issuer}\n".encode())
        answer = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return str(answer["jwt_svid"])

    def data(self, name: str) -> Path:
        """Where a party keeps what it writes."""
        return self.folder / "data" / name.replace("/", "-")


Parties = Callable[[System], Mapping[str, Launch]]
"""What to launch, by the address where it will answer."""


def registered(system: System) -> dict[str, Launch]:
    """Every workload of the registry, as it stands there."""
    return {
        system.address(name): Launch.registered(system.registry, name, settings(system, name))
        for name in system.registry.workloads
    }


def settings(system: System, name: str) -> dict[str, str]:
    """What `zerotrust.settings` wants to be told."""
    known = [name, *system.registry.parties[name].calls]
    return {
        "ZT_REGISTRY": str(ROOT / "registry.yaml"),
        "ZT_POLICIES": str(ROOT / "authorities" / "policy"),
        "ZT_ISSUER": system.keycloak.issuer,
        "ZT_HOST": HOST,
        "ZT_PEERS": json.dumps({peer: system.address(peer) for peer in known}),
        "ZT_DATA": str(system.data(name)),
    }


@asynccontextmanager
async def running(
    folder: Path,
    *,
    say: Say,
    insiders: tuple[str, ...] = (),
    parties: Parties = registered,
    scripts: tuple[Path, ...] = (SCRIPT,),
) -> AsyncIterator[System]:
    """Start everything; end everything on the way out.

    `folder` keeps data, logs and Keycloak's database; `parties` are all workloads of the registry where nobody says
    otherwise, and `scripts` the mappers built into Keycloak.  Raises `DemoError`, `KeycloakError` or `LaunchError`.
    """
    folder = folder.absolute()  # noqa: ASYNC240 - what is launched runs in another working folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_space(folder, SPACE)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_one(folder))
        for name in [*registry.workloads, "authority/attestation"]:
            check_port(registry.parties[name].port or 0, name)
        for port in (PORT, HEALTH_PORT):
            check_port(port)
        for leftover in ("data", "logs", "insiders"):
            shutil.rmtree(folder / leftover, ignore_errors=True)
        (folder / "insiders").mkdir(mode=0o700)
        try:
            authority = await stack.enter_async_context(Authority(registry, lock, ROOT, folder))
        except OSError:
            check_port(registry.parties["authority/attestation"].port or 0, "authority/attestation")  # just taken
            raise
        keycloak = Keycloak(folder, truststore=authority.ca_file, say=say, scripts=scripts)
        system = System(registry, folder, keycloak, authority)
        say("Services start, each from its own measured copy")
        launched = {address: await authority.launch(launch) for address, launch in parties(system).items()}
        spies = {name: await authority.launch(_insider(system, name)) for name in insiders}
        await stack.enter_async_context(keycloak)  # meanwhile: they ask it for nothing until they are asked
        async with httpx.AsyncClient(trust_env=False) as http:
            for address, process in launched.items():
                await _until(partial(_healthy, http, address), process, system.log(process.launch.name))
        for name, spy in spies.items():
            await _until(partial(_there, _insider_socket(folder, name)), spy, system.log("insider"))
        watched = [
            (process.launch.name, process.ended.wait, system.log(process.launch.name)) for process in launched.values()
        ]
        for name, ended, log in [*watched, ("Keycloak", keycloak.ended, keycloak.log)]:
            stack.callback(asyncio.create_task(_tell_when_gone(name, ended, log, say)).cancel)
        yield system


async def _tell_when_gone(name: str, ended: Callable[[], Awaitable[object]], log: Path, say: Say) -> None:
    await ended()
    say(f"{name} has ended by itself, and what needs it is refused until everything is started again; its log: {log}")


def _insider(system: System, name: str) -> Launch:
    env = {"ZT_INSIDER_SOCKET": str(_insider_socket(system.folder, name))}
    return Launch(party_id=system.registry.id(name), name="insider", code=INSIDER, env=env)


def _insider_socket(folder: Path, name: str) -> Path:
    return folder / "insiders" / f"{name.replace('/', '-')}.sock"


async def _until(met: Callable[[], Awaitable[bool]], process: Launched, log: Path) -> None:
    """Wait for a condition that `process` is to bring about; show why where it does not."""
    try:
        async with asyncio.timeout(SECONDS_TO_START):
            while not process.ended.is_set():
                if await met():
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise DemoError(f"{process.launch.name} does not come up; the end of its log, {log}:\n{_tail(log)}")


async def _healthy(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(f"{address}/health")).status_code == 200
    except httpx.TransportError:
        return False


async def _there(path: Path) -> bool:
    return path.exists()  # noqa: ASYNC240 - a local socket


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:]) if log.exists() else "(no log)"


def process_running(folder: Path) -> int | None:
    """The process that runs the system of this folder, if one does: it holds the lock, an old number does not count."""
    try:
        with _only_one(folder):
            return None
    except DemoError:
        return int((folder / PID_FILE).read_text())


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, with our process id beside it; `make down` finds us by the two."""
    with (folder / PID_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise DemoError(f"It runs already, as process {file.read().strip()}: `make down` ends it.") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)
