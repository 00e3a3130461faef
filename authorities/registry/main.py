"""The registry as a process: reads its files, signs with its own SVID, and follows the issuer."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import uvloop

from authorities.registry.app import create_app
from authorities.registry.keycloak.admin import Administration
from authorities.registry.keycloak.events import Apply
from authorities.registry.keycloak.exchanges import Exchanges, read_recorded
from authorities.registry.keycloak.poll import poll
from zerotrust.authority.files.snapshot_files import ENROLLED, load_snapshot
from zerotrust.policy_in_force import NoPolicy
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import RETENTION
from zerotrust.runtime import compose, handle_sigterm, issuer_client, serve
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.logs import log_json_lines


class RegistrySettings(Settings):
    """The further settings of the registry."""

    files: Path
    """The folder of `registry.yaml` and `registry.lock`."""
    deployment: Path
    """The file that says where each party runs."""


async def live(settings: RegistrySettings) -> None:
    """Serve until stopped."""

    def read() -> RegistrySnapshot:
        return load_snapshot(settings.files, settings.deployment, settings.data / ENROLLED)

    snapshot = read()
    own = snapshot.registry.authorities.registry
    revocations, workload = Revocations(clock=time.monotonic), Workload()
    async with workload.running():
        service = compose(own, snapshot, NoPolicy(), settings, workload, revocations)
        at_issuer = issuer_client(settings, workload)
        async with aclosing(Administration(service.issuer, workload, http=at_issuer)) as realm:
            recorded = read_recorded(settings.data / "journal.jsonl")
            exchanges = Exchanges(realm, service.recorder, recorded, since=time.time())

            async def follow(apply: Apply, note_read: Callable[[float], None]) -> None:
                since = time.time() - RETENTION["session"]
                async with asyncio.TaskGroup() as work:
                    work.create_task(poll(realm, apply, note_read, own=snapshot.registry.id(own), since=since))
                    work.create_task(exchanges.follow())

            await serve(service, service.app_from(lambda it: create_app(it, realm, read, follow)), workload, settings)


if __name__ == "__main__":
    handle_sigterm()
    log_json_lines()
    uvloop.run(live(RegistrySettings()))
