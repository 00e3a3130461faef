"""Everything on one machine: attestation, Keycloak, the services; started in order, and gone when this process is.

The same objects as anywhere else are composed here.  What a walkthrough or a test needs besides, an intruder inside a
genuine workload, is launched only where it is asked for by name.
"""

import asyncio
import base64
import fcntl
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.local.launch import Launch, Launched
from authorities.attestation.verifier.approval import approving
from authorities.attestation.verifier.report import report
from authorities.registry.state import State
from local.keycloak import HEALTH_PORT, PORT, Keycloak, check_port, tail
from local.keycloak_runtime import Say, check_space
from local.past import MOST_KEPT, RUNS_KEPT, check_links, forget, put_aside
from registration.realm import REALM_FILE, deployed
from registration.realm.script import SCRIPT
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.journal import events
from zerotrust.registry.deployment import Deployment, load_deployment
from zerotrust.registry.directory import Directory
from zerotrust.registry.lock import Lock, load_lock
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.snapshot import ATTESTATION_PARTY, REGISTRY_PARTY, deployed_at
from zerotrust.spiffe.svid import Svid
from zt.client import user_client

ROOT = Path(__file__).parents[1]
DEPLOYMENT = ROOT / "deploy" / "local.yaml"
HOST = "127.0.0.1"
SECONDS_TO_START = 30
SPACE = 100
"""Megabytes: several times what a run takes."""
PID_FILE = "running.pid"
INSIDER = ("lab/compromised_workload", "zerotrust")
"""The code that stands for an intruder; see `lab/compromised_workload/main.py`."""


class DemoError(Exception):
    """It does not run.  The text names the cause and the next step."""


@dataclass(frozen=True, slots=True)
class System:
    """What runs, and where its traces are."""

    registry: Registry
    deployment: Deployment
    lock: Lock
    folder: Path
    keycloak: Keycloak
    authority: Authority

    def address(self, name: str) -> str:
        """A party's origin, by its name in certificates."""
        return self.registry.address(name)

    def place(self, name: str) -> str:
        """Where a party listens."""
        return self.deployment.parties[name].origin

    def port(self, name: str) -> int:
        """The port at which a party listens."""
        return self.deployment.parties[name].port

    @property
    def directory(self) -> Directory:
        """Whom there is to be called, and by which names they are known."""
        return deployed_at(self.deployment, self.registry, approved={}).directory()

    def user(self) -> httpx.AsyncClient:
        """The client of a person, who has no certificate."""
        return user_client(self.directory, self.authority.ca_file)

    def log(self, name: str) -> Path:
        """A party's log, in JSON lines."""
        return self.folder / "logs" / f"{name.replace('/', '-')}.log"

    def events(self, name: str) -> list[AuditEvent]:
        """What a party has written down."""
        return list(events(self.journal(name)))

    def journal(self, name: str) -> Path:
        """Where a party writes down what it decided."""
        return self.data(name) / "journal.jsonl"

    async def assertion(self, name: str) -> str:
        """What an intruder inside the workload `name` can get: a JWT-SVID for the realm, good for 60 s."""
        return str((await self.inside(name, self.keycloak.issuer))["jwt_svid"])

    async def svid(self, name: str) -> Svid:
        """What an intruder inside the workload `name` can get: its certificate and key, good for 120 s at most."""
        told = await self.inside(name, "x509")
        key, own, *bundle = (base64.b64decode(part) for part in [told["key"], *told["certificates"]])
        return Svid.from_der(key, own, bundle)

    async def inside(self, name: str, asked: str) -> dict[str, Any]:
        """What the intruder inside the workload `name` answers; see `lab/compromised_workload/main.py`."""
        reader, writer = await asyncio.open_unix_connection(_insider_socket(self.folder, name))
        writer.write(f"{asked}\n".encode())
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return answer

    def data(self, name: str) -> Path:
        """Where a party keeps what it writes."""
        return self.folder / "data" / name.replace("/", "-")


Parties = Callable[[System], Mapping[str, Launch]]
"""What to launch, by the address where it will answer."""


def registered(system: System) -> dict[str, Launch]:
    """Every party of the registry that runs measured code, as it stands there."""
    return {
        system.place(name): Launch.registered(system.registry, name, settings(system, name))
        for name in system.registry.launched
    }


def settings(system: System, name: str) -> dict[str, str]:
    """What `zerotrust.settings` wants to be told; the registry alone is told where everybody else is."""
    told = {
        "ZT_REGISTRY": system.place(REGISTRY_PARTY),
        "ZT_ISSUER": system.keycloak.issuer,
        "ZT_HOST": system.deployment.parties[name].host,
        "ZT_PORT": str(system.port(name)),
        "ZT_DATA": str(system.data(name)),
    }
    files = {
        "ZT_FILES": str(ROOT),
        "ZT_POLICIES": str(ROOT / "authorities" / "policy"),
        "ZT_DEPLOYMENT": str(DEPLOYMENT),
    }
    return told | (files if name == REGISTRY_PARTY else {})


@asynccontextmanager
async def running(  # noqa: PLR0913 - what a lab or a test needs besides, each by name
    folder: Path,
    *,
    say: Say,
    insiders: tuple[str, ...] = (),
    parties: Parties = registered,
    unregistered: Mapping[str, tuple[str, ...]] = {},
    scripts: tuple[Path, ...] = (SCRIPT,),
    attestation: type[Authority] = Authority,
    keep: bool = False,
) -> AsyncIterator[System]:
    """Start everything; end everything on the way out.

    `folder` keeps data, logs and Keycloak's database; `parties` are all that the registry has launched where nobody
    says otherwise, `scripts` the mappers built into Keycloak, and `attestation` who measures and launches.  `keep`: go
    on with what is revoked, filed and on record from the last run in this folder, and with Keycloak's database; else
    all that is forgotten first.  Raises `DemoError`, `KeycloakError`, `LaunchError`, `MeasureError`, `NotClosedError`,
    `NotADirectoryError` or `RegistryError`.
    """
    folder = folder.absolute()  # noqa: ASYNC240 - what is launched runs in another working folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_space(folder, SPACE)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    deployment = load_deployment(DEPLOYMENT, registry)
    for name, code in {**unregistered, **({"insider": INSIDER} if insiders else {})}.items():
        lock = approving(lock, ROOT, name, code)
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_one(folder))
        for name, place in deployment.parties.items():
            check_port(place.port, name)
        for port in (PORT, HEALTH_PORT):
            check_port(port)
        check_links(folder)
        put_away = put_aside(folder) if keep else None
        if not keep:
            forget(folder)
        data = folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        data.chmod(0o700)  # earlier versions left it, and the databases in it, open to other users
        shutil.rmtree(folder / "insiders", ignore_errors=True)
        (folder / "insiders").mkdir(mode=0o700)
        port = deployment.parties[ATTESTATION_PARTY].port
        try:
            authority = await stack.enter_async_context(attestation(registry, lock, ROOT, folder, port=port))
        except OSError:
            check_port(port, ATTESTATION_PARTY)  # just taken
            raise
        certificate, key = _for_keycloak(authority, folder)
        keycloak = Keycloak(
            folder,
            realm=deployed(REALM_FILE.read_text(), registry, deployment),
            truststore=authority.ca_file,
            certificate=certificate,
            key=key,
            say=say,
            scripts=scripts,
        )
        system = System(registry, deployment, lock, folder, keycloak, authority)
        suspended = await _suspended(system)
        say("Services start, each from its own measured copy")
        launched = {address: await authority.launch(launch) for address, launch in parties(system).items()}
        reporting = report(system.place(REGISTRY_PARTY), authority)
        stack.callback(asyncio.create_task(reporting).cancel)
        spies = {name: await authority.launch(_insider(system, name)) for name in insiders}
        await stack.enter_async_context(keycloak)  # meanwhile: they ask it for nothing until they are asked
        if put_away:
            say(_survived(put_away, imported=keycloak.imported))
        for address, process in launched.items():
            if why := suspended.get(name := process.launch.name):  # the registry tells it nothing
                say(f"{name} stays suspended ({why}) and does nothing until `zt party reinstate {name}`")
                continue
            await started(system, address, process)
        for name, spy in spies.items():
            await _until(partial(_there, _insider_socket(folder, name)), spy, system.log("insider"))
        watched = [
            (one.launch.name, one.ended.wait, one.end_requested.is_set, system.log(one.launch.name))
            for one in launched.values()
        ]
        for told in [*watched, ("Keycloak", keycloak.ended, _never, keycloak.log)]:
            stack.callback(asyncio.create_task(_tell_when_gone(*told, say)).cancel)
        yield system


async def _suspended(system: System) -> dict[str, str]:
    """The parties that were suspended in an earlier run and not reinstated, with the cause; without the registry."""
    file = system.data(REGISTRY_PARTY) / "revocations.db"
    if not await _there(file):
        return {}
    kept = State(file)
    async with kept.opened():
        causes = {name: kept.revoked.get(("party", system.registry.id(name))) for name in system.registry.launched}
    return {name: cause for name, cause in causes.items() if cause and name != REGISTRY_PARTY}


def _survived(put_away: Path, *, imported: bool) -> str:
    """What is left of the last run, and what is not."""
    lost = ", and what was changed in Keycloak's admin page: the realm was imported anew" if imported else ""
    return (
        "What was revoked in the last run stays revoked, and its documents stay. Its journals and logs are in "
        f"{put_away} ({RUNS_KEPT} runs are kept, {MOST_KEPT >> 20} MB at most). Its sessions are gone{lost}. "
        "`make fresh` forgets it all"
    )


def _never() -> bool:
    return False


async def _tell_when_gone(
    name: str, ended: Callable[[], Awaitable[object]], asked: Callable[[], bool], log: Path, say: Say
) -> None:
    await ended()
    if asked():
        return
    say(f"{name} has ended by itself, and what needs it is refused until everything is started again; its log: {log}")


async def started(system: System, address: str, process: Launched) -> None:
    """Wait until what was launched answers there.  Raises `DemoError` where it does not."""
    await _until(partial(_answers, address, system.authority.ca_file), process, system.log(process.launch.name))


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
    raise DemoError(f"{process.launch.name} does not come up; the end of its log, {log}:\n{tail(log)}")


async def _answers(address: str, ca_file: Path) -> bool:
    """Whether somebody of our trust domain listens there: a service listens once it can answer.

    A lab launches some without TLS, and those are known by their port alone.
    """
    url = httpx.URL(address)
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False  # who it is, its callers check
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=context if url.scheme == "https" else None)
    except OSError:
        return False
    writer.close()
    return True


def _for_keycloak(authority: Authority, folder: Path) -> tuple[Path, Path]:
    """Keycloak's certificate and key, for this run: it takes them from files alone, the key's for nobody else."""
    key, chain = authority.server_certificate("localhost")
    files = folder / "keycloak.crt", folder / "keycloak.key"
    for file, content in zip(files, (chain, key), strict=True):
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
    return files


async def _there(path: Path) -> bool:
    return path.exists()  # noqa: ASYNC240 - a local socket


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
