"""Runs everything on one machine: attestation, Keycloak, the services; started in order, and ended with this process.

It composes the same objects as any other deployment.  A compromised workload, which a walkthrough or a test may need in
addition, is launched only on request, by name.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.local.launch import Launched
from authorities.registry.state import State
from registration.approval import approve
from registration.realm import to_json, with_ports
from registration.realm.script import SCRIPTS
from registration.run_lock import exclusive_run
from start import earlier_runs
from start.before_start import check_port
from start.cache import check_space
from start.child import describe_activity
from start.keycloak.options import HEALTH_PORT, PORT
from start.keycloak.server import Keycloak
from start.launches import INSIDER, Parties, insider_launch, party_launches
from start.llama_stack.ogx import NAME, Provider
from start.llama_stack.server import check_setup, enrol, prepare, serving
from start.progress import Say, reporting_progress
from start.stopping import end_in_order
from start.system import DEPLOYMENT, ROOT, System
from start.waiting import exists, report_end, wait_until, wait_until_listening
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.durable import write_file
from zerotrust.limits.answers import ask
from zerotrust.registry.model import Registry
from zerotrust.tlog.note import MAX_NOTE

SECONDS_BETWEEN_TRIES = 0.2
"""Between two questions for the policy of the audit log, until there is one."""


async def keep_audit_policy(system: System, say: Say) -> None:
    """Write the policy by which people verify the audit log to the run's folder, once the registry publishes it.

    A policy that was kept stays: another one would mean another log or registry, and is told and not believed.
    """
    published, file = await _audit_policy(system), system.folder / earlier_runs.AUDIT_POLICY
    if not file.exists():
        write_file(file, published)
    elif file.read_bytes() != published:
        say(
            f"The registry publishes another policy for the audit log than {file}: no export of this log can be "
            "verified with that file, which stays as it is. `make fresh` deletes the log and sets the file aside"
        )


async def _audit_policy(system: System) -> bytes:
    url = f"{system.address(system.registry.authorities.registry)}/audit-policy"
    async with system.user() as http:
        while True:
            with suppress(httpx.HTTPError, OSError):
                status, answer = await ask(http, "GET", url, most=MAX_NOTE)
                if status == 200:
                    return answer
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)


async def suspended_parties(registry: Registry, folder: Path) -> dict[str, str]:
    """Return the parties that were suspended in an earlier run in this folder, each with its cause.

    The registry is none of them: it starts all the same, because it is the one that would have to hear of it.
    """
    party = registry.authorities.registry
    file = earlier_runs.data_folder(folder, party) / "revocations.db"
    if not await exists(file):
        return {}
    kept = State(file)
    async with kept.open():
        causes = {name: kept.revoked.get(("party", registry.id(name))) for name in registry.launched}
    return {name: cause for name, cause in causes.items() if cause and name != party}


SPACE = 100
"""Megabytes: several times the space that a run needs."""


@asynccontextmanager
async def running(  # noqa: PLR0913 - options of a lab or a test, each by name
    folder: Path,
    *,
    say: Say,
    insiders: tuple[str, ...] = (),
    parties: Parties = party_launches,
    unregistered: Mapping[str, str] = {},
    scripts: tuple[Path, ...] = SCRIPTS,
    attestation: type[Authority] = Authority,
    provider: Provider | None = None,
    keep: bool = False,
) -> AsyncIterator[System]:
    """Run everything for a block.

    `folder` has data, logs and Keycloak's database; `parties` returns the launches, by default those of the registry;
    `scripts` are those that are built into Keycloak, and `attestation` measures and launches.  `provider` is the model
    server behind a Llama Stack server, which runs only with one.  `keep`: keep revocations, documents and journals of
    the last run in this folder; otherwise remove them first.  Raises `RunError`, `KeycloakError`, `LaunchError`,
    `LlamaStackError`, `MeasureError`, `NotClosedError`, `NotADirectoryError` or `RegistryError`.
    """
    if provider:
        check_setup()
    folder = folder.absolute()  # noqa: ASYNC240 - launched processes have another working folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_space(folder, SPACE)
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    deployment = load_deployment(DEPLOYMENT, registry)
    for name, code in {**unregistered, **({"insider": INSIDER} if insiders else {})}.items():
        lock = approve(lock, ROOT, name, code)
    async with AsyncExitStack() as stack:
        stack.enter_context(exclusive_run(folder))
        runs = stack.enter_context(earlier_runs.recording_failure(folder))
        for name, place in deployment.parties.items():
            check_port(place.port, name)
        for port in (PORT, HEALTH_PORT):
            check_port(port)
        put_away = _prepare_folders(folder, keep=keep)
        own = registry.authorities.attestation
        port = deployment.parties[own].port
        try:
            authority = await stack.enter_async_context(attestation(registry, lock, ROOT, folder, port=port))
        except OSError:
            check_port(port, own)  # just taken
            raise
        certificate, key = _write_keycloak_certificate(authority, folder)
        keycloak = Keycloak(
            folder,
            realm=with_ports(to_json(registry), registry, deployment),
            truststore=authority.ca_file,
            certificate=certificate,
            key=key,
            say=say,
            scripts=scripts,
        )
        at, trusted = deployment.outside[NAME], (keycloak.issuer, authority.ca_file)
        server = prepare(folder / "llama-stack", at, provider, *trusted) if provider else None
        waiting = await suspended_parties(registry, folder)
        system = System(registry, deployment, lock, folder, keycloak, authority, server, waiting)
        party = registry.authorities.registry
        enrol(system.data(party), server)
        say("Services start, each from its own measured copy")
        async with reporting_progress(say, "The services are being launched"):
            launched = {address: await authority.launch(launch) for address, launch in parties(system).items()}
        stack.callback(asyncio.create_task(authority.report(system.place(party), party)).cancel)
        spies = {name: await authority.launch(insider_launch(system, name)) for name in insiders}
        await stack.enter_async_context(keycloak)  # while the services start, which do not need it before a request
        model_server = await stack.enter_async_context(serving(server, say)) if server else []
        if put_away:
            say(earlier_runs.kept_message(put_away))
        await _wait_for_all(system, launched, say)
        for name, spy in spies.items():
            await wait_until(partial(exists, system.insider_socket(name)), spy, system.log("insider"))
        stack.callback(asyncio.create_task(keep_audit_policy(system, say)).cancel)
        watched = [
            (one.launch.name, one.ended.wait, one.end_requested.is_set, system.log(one.launch.name))
            for one in launched.values()
        ]
        others = [("Keycloak", keycloak.wait_until_ended, keycloak.log), *model_server]
        for one in [*watched, *((name, ended, lambda: False, log) for name, ended, log in others)]:
            stack.callback(asyncio.create_task(report_end(*one, say)).cancel)
        stack.push_async_callback(end_in_order, launched.values(), registry.authorities)
        runs.set()
        yield system


async def _wait_for_all(system: System, launched: Mapping[str, Launched], say: Say) -> None:
    """Wait until every launched party works, but for suspended parties."""
    for address, process in start_order(launched, system.registry):
        if why := system.suspended.get(name := process.launch.name):  # the registry does not send it the feed
            say(f"{name} stays suspended ({why}) and does nothing until `zt party reinstate {name}`")
            continue
        doing = partial(describe_activity, system.log(name))
        async with reporting_progress(say, f"{name} is starting", doing):
            await wait_until_listening(system, address, process)


def start_order(launched: Mapping[str, Launched], registry: Registry) -> list[tuple[str, Launched]]:
    """Return the launched processes with their addresses, each after those that it waits for.

    The others wait for the authorities, so that one of these is named which does not start.
    """
    own = registry.authorities
    turn = {own.registry: 0, own.policy: 1, own.audit: 2}
    return sorted(launched.items(), key=lambda one: turn.get(one[1].launch.name, len(turn)))


def _prepare_folders(folder: Path, *, keep: bool) -> Path | None:
    """Make the run's folders; remove what the last run left, or put its logs aside.  Return where these were put."""
    earlier_runs.check_links(folder)
    put_away = earlier_runs.put_aside(folder) if keep else None
    if not keep:
        earlier_runs.forget(folder)
    data, insiders = folder / "data", folder / "insiders"
    data.mkdir(mode=0o700, exist_ok=True)
    data.chmod(0o700)  # earlier versions left it, with its databases, open to other users
    shutil.rmtree(insiders, ignore_errors=True)
    insiders.mkdir(mode=0o700)
    return put_away


def _write_keycloak_certificate(authority: Authority, folder: Path) -> tuple[Path, Path]:
    """Write Keycloak's certificate and key for this run to files, which it requires; other users cannot read them."""
    key, chain = authority.server_certificate("localhost")
    files = folder / "keycloak.crt", folder / "keycloak.key"
    for file, content in zip(files, (chain, key), strict=True):
        write_file(file, content)
    return files
