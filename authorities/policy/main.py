"""The policy authority as a process: it decides by its own policies, and publishes them for all parties.

It follows the registry's feed as all parties do, except for the policies, which the registry gets from here.
"""

import asyncio
import math
from pathlib import Path

import uvloop

from authorities.policy.app import create_app
from authorities.policy.startup import begin, versions_on_record
from authorities.policy.versions import Versions, content_of
from zerotrust.registry.policy_bundle import Bundle
from zerotrust.runtime import compose, engine_for, handle_sigterm, registry_feed, serve
from zerotrust.service import JOURNAL
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.logs import log_json_lines

NAME = "authority/policy"


class PolicySettings(Settings):
    """The further settings of the policy authority."""

    policies: Path
    """The folder with the first version: `*.cedar`, `schema.cedarschema` and `decisions.md`.

    It is read if no version that is on record is kept; after that, operators activate versions.
    """


async def live(settings: PolicySettings) -> None:
    """Serve until stopped.  Raises `VersionsError` or `RegistryError` if there are no policies fit to decide by."""
    folder = settings.data / "versions"
    on_record = await asyncio.to_thread(versions_on_record, settings.data / JOURNAL)
    versions = await asyncio.to_thread(Versions, folder, lambda: content_of(settings.policies), on_record)
    workload = Workload()
    async with workload.running():
        feed = registry_feed(settings, workload, own=lambda: bundle_in_force(versions))
        async with feed.running():
            await asyncio.to_thread(begin, versions, feed.snapshot.registry)
            policy = engine_for(bundle_in_force(versions), feed.snapshot, feed)
            service = compose(NAME, feed.snapshot, policy, settings, workload, feed.revocations)
            feed.on_change(lambda snapshot, policy: service.use(snapshot, engine_for(policy, snapshot, feed)))
            app = service.app_from(lambda it: create_app(it, versions, workload.on_renewal))
            await serve(service, app, workload, settings)


def bundle_in_force(versions: Versions) -> Bundle:
    """Return the version in force; here its life does not end."""
    return Bundle(versions.active.number, versions.active.content.document, versions.active.at, math.inf)


if __name__ == "__main__":
    handle_sigterm()
    log_json_lines()
    uvloop.run(live(PolicySettings()))
