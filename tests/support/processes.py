"""Parties as real processes, with the tests' issuer in the place of Keycloak: they start in seconds."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from registration.derive import as_text
from registration.names import POLICIES
from start.launches import launch_of, settings
from start.system import ROOT, System
from start.waiting import wait_until_listening
from testkit.issuer import metadata
from tests.support.ca import ATTESTATION_PARTY, REGISTRY_PARTY
from tests.support.issuer import Issuer
from tests.support.launched import Authority
from tests.support.system import deployment
from tests.support.waiting import serving
from zerotrust.authority.files.deployment import Deployment
from zerotrust.authority.files.lock import entries, load_lock
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid

PORTS = 6000
"""How far their ports lie above those of the real system, which may be running beside it."""


@dataclass(frozen=True)
class At:
    """What a party has to be told of Keycloak."""

    issuer: str


def elsewhere() -> Deployment:
    """The parties, at ports of their own."""
    parties = deployment().parties.items()
    moved = {name: place.model_copy(update={"port": place.port + PORTS}) for name, place in parties}
    return deployment().model_copy(update={"parties": moved})


@asynccontextmanager
async def served(issuer: Issuer, authority: Authority, folder: Path) -> AsyncIterator[str]:
    """The issuer over TLS, by a certificate of this authority; gives its address."""
    files = folder / "issuer.key", folder / "issuer.crt"
    for file, content in zip(files, authority.server_certificate("localhost"), strict=True):
        file.write_bytes(content)
    config = uvicorn.Config(
        issuer.app,
        interface="asgi3",
        port=0,
        ssl_keyfile=files[0],
        ssl_certfile=files[1],
        lifespan="off",
        ws="none",
        log_level="error",
    )
    async with serving(uvicorn.Server(config)) as port:
        issuer.metadata = metadata(address := f"https://localhost:{port}/realms/agents")
        yield address


@asynccontextmanager
async def launched(
    folder: Path,
    registry: Registry,
    issuer: Issuer,
    parties: Iterable[str],
    *,
    waiting: Iterable[str] = (),
    policies: Path = ROOT / POLICIES,
) -> AsyncIterator[System]:
    """Launch the registry, the other authorities and these parties as they always are, for a block.

    `waiting`: those that do not answer yet.  `policies`: the folder of their first version.
    """
    lock = load_lock(ROOT / "registry.lock").model_copy(update={"registry": entries(registry)})
    (folder / "registry.yaml").write_text(registry.model_dump_json())  # JSON is YAML
    (folder / "registry.lock").write_text(as_text(lock))
    there, file = elsewhere(), folder / "deployment.yaml"
    file.write_text(there.model_dump_json())
    async with AsyncExitStack() as stack:
        port = there.parties[ATTESTATION_PARTY].port
        authority = await stack.enter_async_context(Authority(registry, lock, ROOT, folder, port=port))
        address = await stack.enter_async_context(served(issuer, authority, folder))
        system = System(registry, there, lock, folder, At(address), authority)  # type: ignore[arg-type]
        policy = registry.authorities.policy
        own = {
            REGISTRY_PARTY: {"ZT_FILES": str(folder), "ZT_DEPLOYMENT": str(file)},
            policy: {"ZT_POLICIES": str(policies)},
        }
        names = REGISTRY_PARTY, policy, registry.authorities.audit, *parties
        processes = [
            await authority.launch(launch_of(registry, name, settings(system, name) | own.get(name, {})))
            for name in names
        ]
        reporting = asyncio.create_task(authority.report(system.place(REGISTRY_PARTY), REGISTRY_PARTY))
        stack.callback(reporting.cancel)
        for process in processes:
            if process.launch.name not in waiting:
                await wait_until_listening(system, system.place(process.launch.name), process)
        yield system


def svid_of(system: System, party: str) -> Svid:
    """What attestation gives a party whenever it asks."""
    issuer, registry = system.authority._issuer, system.registry
    now, life = dt.datetime.now(dt.UTC), registry.freshness.x509_svid
    key, certificate = issuer.x509_svid(registry.id(party), registry.dns_name(party), now=now, life=life)
    return Svid.from_der(key, certificate, [issuer.ca_der])
