"""Runs everything on one machine: attestation, Keycloak, the services; started in order, and ended with this process.

It composes the same objects as any other deployment.  A compromised workload, which a walkthrough or a test may need in
addition, is launched only on request, by name.
"""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
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
from deploy.ogx import NAME, Provider
from local.alone import DemoError, only_one
from local.insider import ask_inside, svid_inside
from local.keycloak import HEALTH_PORT, PORT, Keycloak, check_port, tail
from local.keycloak_runtime import Say, check_space
from local.llama_stack import LlamaStack, check_able, enrol, prepared, serving
from local.past import MOST_KEPT, RUNS_KEPT, check_links, forget, put_aside
from registration.realm import REALM_FILE, deployed
from registration.realm.script import SCRIPT
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.journal import events
from zerotrust.registry.deployment import Deployment, load_deployment
from zerotrust.registry.directory import Directory
from zerotrust.registry.lock import Lock, load_lock
from zerotrust.registry.model import Registry, RegistryError, load_registry
from zerotrust.registry.snapshot import deployed_at
from zerotrust.spiffe.svid import Svid
from zerotrust.testing.browser import sign_in
from zt.client import user_client
from zt.login import Login


def all_scopes(registry: Path) -> str:
    """Return the scopes that the walkthrough's client can get; none if the file is invalid, which each start says."""
    try:
        return " ".join(load_registry(registry).parties["walkthrough"].delegates)
    except (RegistryError, KeyError):
        return ""


ROOT = Path(__file__).parents[1]
DEPLOYMENT = ROOT / "deploy" / "local.yaml"
HOST = "127.0.0.1"
EVERYTHING = all_scopes(ROOT / "registry.yaml")
"""All scopes that the walkthrough's client can get."""
SECONDS_TO_START = 30
SPACE = 100
"""Megabytes: several times the space that a run needs."""
INSIDER = ("lab/compromised_workload", "zerotrust")
"""The code of the compromised workload; see `lab/compromised_workload/main.py`."""


@dataclass(frozen=True, slots=True)
class System:
    """The running system, and its files."""

    registry: Registry
    deployment: Deployment
    lock: Lock
    folder: Path
    keycloak: Keycloak
    authority: Authority
    llama_stack: LlamaStack | None = None
    """The model server behind inference, which without one answers by a script."""

    def address(self, name: str) -> str:
        """Return a party's origin, with its name in certificates."""
        return self.registry.address(name)

    def place(self, name: str) -> str:
        """Return the address that a party listens on."""
        return self.deployment.parties[name].origin

    def port(self, name: str) -> int:
        """The port at which a party listens."""
        return self.deployment.parties[name].port

    @property
    def directory(self) -> Directory:
        """The parties that can be called, with their addresses and names."""
        return deployed_at(self.deployment, self.registry, approved={}).directory()

    def user(self) -> httpx.AsyncClient:
        """Return the HTTP client of a person, without a certificate."""
        return user_client(self.directory, self.authority.ca_file)

    async def sign_in(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> Login:
        """Sign a user in at a public client.  Raises `LoginError` and `httpx.TransportError`."""
        keycloak = self.keycloak
        return await sign_in(keycloak.issuer, client, user, keycloak.passwords[user], scope, verify=keycloak.tls)

    def log(self, name: str) -> Path:
        """Return the path of a party's log (JSON lines)."""
        return self.folder / "logs" / f"{name.replace('/', '-')}.log"

    def events(self, name: str) -> list[AuditEvent]:
        """Return the events of a party's journal."""
        return list(events(self.journal(name)))

    def journal(self, name: str) -> Path:
        """Return the path of a party's journal."""
        return self.data(name) / "journal.jsonl"

    async def assertion(self, name: str) -> str:
        """Return what an intruder inside the workload `name` can get: a JWT-SVID for the realm, valid for 60 s."""
        return str((await self.inside(name, self.keycloak.issuer))["jwt_svid"])

    async def svid(self, name: str) -> Svid:
        """Return what an intruder inside the workload `name` can get: its certificate and key, valid for 120 s."""
        return await svid_inside(_insider_socket(self.folder, name))

    async def inside(self, name: str, request: str) -> dict[str, Any]:
        """Return the answer of the intruder inside the workload `name`."""
        return await ask_inside(_insider_socket(self.folder, name), request)

    def data(self, name: str) -> Path:
        """Return the folder of a party's data."""
        return self.folder / "data" / name.replace("/", "-")


Parties = Callable[[System], Mapping[str, Launch]]
"""Returns the launches, by the address that each will listen on."""


def registered(system: System) -> dict[str, Launch]:
    """Return a launch for every party of the registry that runs measured code."""
    return {
        system.place(name): Launch.registered(system.registry, name, settings(system, name))
        for name in system.registry.launched
    }


def settings(system: System, name: str) -> dict[str, str]:
    """Return the variables for `zerotrust.settings`; only the registry gets the addresses of all parties."""
    party = system.registry.authorities.registry
    common = {
        "ZT_REGISTRY": system.place(party),
        "ZT_REGISTRY_PARTY": party,
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
    server = system.llama_stack if name == "inference" else None
    return common | (files if name == party else {}) | (server.settings(os.environ) if server else {})


@asynccontextmanager
async def running(  # noqa: PLR0913, PLR0915 - options of a lab or a test, each by name
    folder: Path,
    *,
    say: Say,
    insiders: tuple[str, ...] = (),
    parties: Parties = registered,
    unregistered: Mapping[str, tuple[str, ...]] = {},
    scripts: tuple[Path, ...] = (SCRIPT,),
    attestation: type[Authority] = Authority,
    provider: Provider | None = None,
    keep: bool = False,
) -> AsyncIterator[System]:
    """Run everything for a block.

    `folder` has data, logs and Keycloak's database; `parties` returns the launches, by default those of the registry;
    `scripts` are the mappers built into Keycloak, and `attestation` measures and launches.  `provider` is the model
    server behind a Llama Stack server, which runs only with one.  `keep`: keep revocations, documents and journals of
    the last run in this folder; otherwise remove them first.  Raises `DemoError`, `KeycloakError`, `LaunchError`,
    `LlamaStackError`, `MeasureError`, `NotClosedError`, `NotADirectoryError` or `RegistryError`.
    """
    if provider:
        check_able()
    folder = folder.absolute()  # noqa: ASYNC240 - launched processes have another working folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_space(folder, SPACE)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    deployment = load_deployment(DEPLOYMENT, registry)
    for name, code in {**unregistered, **({"insider": INSIDER} if insiders else {})}.items():
        lock = approving(lock, ROOT, name, code)
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(folder))
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
        data.chmod(0o700)  # earlier versions left it, with its databases, open to other users
        shutil.rmtree(folder / "insiders", ignore_errors=True)
        (folder / "insiders").mkdir(mode=0o700)
        own = registry.authorities.attestation
        port = deployment.parties[own].port
        try:
            authority = await stack.enter_async_context(attestation(registry, lock, ROOT, folder, port=port))
        except OSError:
            check_port(port, own)  # just taken
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
        at, trusted = deployment.outside[NAME], (keycloak.issuer, authority.ca_file)
        server = prepared(folder / "llama-stack", at, provider, *trusted) if provider else None
        system = System(registry, deployment, lock, folder, keycloak, authority, server)
        enrol(system.data(registry.authorities.registry), server)
        suspended = await _suspended(system)
        say("Services start, each from its own measured copy")
        launched = {address: await authority.launch(launch) for address, launch in parties(system).items()}
        party = registry.authorities.registry
        reporting = report(system.place(party), party, authority)
        stack.callback(asyncio.create_task(reporting).cancel)
        spies = {name: await authority.launch(_insider(system, name)) for name in insiders}
        await stack.enter_async_context(keycloak)  # while the services start, which do not need it before a request
        model_server = await stack.enter_async_context(serving(server, say)) if server else []
        if put_away:
            say(_survived(put_away))
        for address, process in launched.items():
            if why := suspended.get(name := process.launch.name):  # the registry does not send it the feed
                say(f"{name} stays suspended ({why}) and does nothing until `zt party reinstate {name}`")
                continue
            await started(system, address, process)
        for name, spy in spies.items():
            await until(partial(there, _insider_socket(folder, name)), spy, system.log("insider"))
        watched = [
            (one.launch.name, one.ended.wait, one.end_requested.is_set, system.log(one.launch.name))
            for one in launched.values()
        ]
        others = [("Keycloak", keycloak.ended, keycloak.log), *model_server]
        for one in [*watched, *((name, ended, _never, log) for name, ended, log in others)]:
            stack.callback(asyncio.create_task(_report_end(*one, say)).cancel)
        yield system


async def _suspended(system: System) -> dict[str, str]:
    """Return the parties that were suspended in an earlier run, each with its cause; without the registry."""
    party = system.registry.authorities.registry
    file = system.data(party) / "revocations.db"
    if not await there(file):
        return {}
    kept = State(file)
    async with kept.opened():
        causes = {name: kept.revoked.get(("party", system.registry.id(name))) for name in system.registry.launched}
    return {name: cause for name, cause in causes.items() if cause and name != party}


def _survived(put_away: Path) -> str:
    """Return the message on what is kept of the last run, and what is not."""
    return (
        "Revocations and documents of the last run are kept. Its journals and logs are in "
        f"{put_away} ({RUNS_KEPT} runs are kept, {MOST_KEPT >> 20} MB at most). Its sessions are gone, and so are "
        "changes in Keycloak's admin page. `make fresh` removes it all"
    )


def _never() -> bool:
    return False


async def _report_end(
    name: str, ended: Callable[[], Awaitable[object]], requested: Callable[[], bool], log: Path, say: Say
) -> None:
    await ended()
    if requested():
        return
    say(f"{name} has ended by itself; calls that need it are refused until everything is restarted; its log: {log}")


async def started(system: System, address: str, process: Launched) -> None:
    """Wait until a launched process listens at `address`.  Raises `DemoError` if it does not."""
    await until(partial(_answers, address, system.authority.ca_file), process, system.log(process.launch.name))


def _insider(system: System, name: str) -> Launch:
    env = {"ZT_INSIDER_SOCKET": str(_insider_socket(system.folder, name))}
    return Launch(party_id=system.registry.id(name), name="insider", code=INSIDER, env=env)


def _insider_socket(folder: Path, name: str) -> Path:
    return folder / "insiders" / f"{name.replace('/', '-')}.sock"


async def until(met: Callable[[], Awaitable[bool]], process: Launched, log: Path) -> None:
    """Wait until a condition is met that `process` has to meet.  Raises `DemoError` with the end of its log."""
    try:
        async with asyncio.timeout(SECONDS_TO_START):
            while not process.ended.is_set():
                if await met():
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise DemoError(f"{process.launch.name} does not start; the end of its log, {log}:\n{tail(log)}")


async def _answers(address: str, ca_file: Path) -> bool:
    """Return whether a party of our trust domain listens at this address: a service listens once it can answer.

    A lab launches some services without TLS; for those, any listener counts.
    """
    url = httpx.URL(address)
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False  # its callers check which party it is
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=context if url.scheme == "https" else None)
    except OSError:
        return False
    writer.close()
    return True


def _for_keycloak(authority: Authority, folder: Path) -> tuple[Path, Path]:
    """Write Keycloak's certificate and key for this run to files, which it requires; other users cannot read them."""
    key, chain = authority.server_certificate("localhost")
    files = folder / "keycloak.crt", folder / "keycloak.key"
    for file, content in zip(files, (chain, key), strict=True):
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
    return files


async def there(path: Path) -> bool:
    """Return whether there is such a file."""
    return path.exists()  # noqa: ASYNC240 - a local socket
