"""Certificates of 20 s, renewed under load, in real processes: the registry, and the tool behind its whole gate.

Keycloak has no part in it: the tests' issuer is the one that these two know.
"""

import asyncio
import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from authorities.attestation.local.launch import Launch
from authorities.attestation.verifier.report import report
from demo.intruder import said, tool_call
from local.launches import settings
from local.system import ROOT, System
from local.waiting import started
from tests.support.ca import ATTESTATION_PARTY, REGISTRY_PARTY
from tests.support.issuer import Issuer
from tests.support.launched import Authority
from tests.support.records import records
from tests.support.system import deployment
from zerotrust.registry.deployment import Deployment
from zerotrust.registry.lock import as_text, entries, load_lock
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid
from zerotrust.testing.issuer import metadata
from zerotrust.transport.pools import Connections

pytestmark = pytest.mark.e2e

LIFE = 20
"""Seconds from issue to end of every certificate."""
REQUESTS, AT_ONCE = 2000, 8
CERTIFICATES = 3
"""That the tool has shown, and so has its caller, before this counts as a rotation."""
PORTS = 6000
"""How far its ports lie above those of the real system, which may be running beside it."""
READER, DOCUMENTS = "agent/reader", "tool/documents"


@dataclass(frozen=True)
class At:
    """What a party has to be told of Keycloak."""

    issuer: str


def brief(registry: Registry) -> Registry:
    """The registry, with certificates that end soon."""
    return registry.model_copy(update={"freshness": registry.freshness.model_copy(update={"x509_svid": LIFE})})


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
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        address = f"https://localhost:{server.servers[0].sockets[0].getsockname()[1]}/realms/agents"
        issuer.metadata = metadata(address)
        yield address
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def rotating(tmp_path: Path, registry: Registry, issuer: Issuer) -> AsyncIterator[System]:
    """The registry, the policy authority, the ledger and the tool, launched as they always are."""
    known = brief(registry)
    lock = load_lock(ROOT / "registry.lock").model_copy(update={"registry": entries(known)})
    (tmp_path / "registry.yaml").write_text(known.model_dump_json())  # JSON is YAML
    (tmp_path / "registry.lock").write_text(as_text(lock))
    there, file = elsewhere(), tmp_path / "deployment.yaml"
    file.write_text(there.model_dump_json())
    async with AsyncExitStack() as stack:
        port = there.parties[ATTESTATION_PARTY].port
        authority = await stack.enter_async_context(Authority(known, lock, ROOT, tmp_path, port=port))
        address = await stack.enter_async_context(served(issuer, authority, tmp_path))
        system = System(known, there, lock, tmp_path, At(address), authority)  # type: ignore[arg-type]
        files = {"ZT_FILES": str(tmp_path), "ZT_DEPLOYMENT": str(file)}
        parties = REGISTRY_PARTY, known.authorities.policy, known.authorities.audit, DOCUMENTS
        launched = [
            await authority.launch(
                Launch.registered(known, name, settings(system, name) | (files if name == REGISTRY_PARTY else {}))
            )
            for name in parties
        ]
        reporting = asyncio.create_task(report(system.place(REGISTRY_PARTY), REGISTRY_PARTY, authority))
        stack.callback(reporting.cancel)
        for process in launched:
            await started(system, system.place(process.launch.name), process)
        yield system


def renewed(system: System) -> Svid:
    """What attestation gives the reader whenever it asks."""
    issuer, registry = system.authority._issuer, system.registry
    now = dt.datetime.now(dt.UTC)
    key, certificate = issuer.x509_svid(registry.id(READER), registry.dns_name(READER), now=now, life=LIFE)
    return Svid.from_der(key, certificate, [issuer.ca_der])


async def test_no_request_is_lost_while_certificates_are_renewed(rotating: System, issuer: Issuer) -> None:
    """Not by the clock: it goes on until there were enough requests and enough certificates."""
    directory, url = rotating.directory, f"{rotating.address(DOCUMENTS)}/mcp"
    connections = Connections(directory, svid := renewed(rotating))
    shown, own, lost, done = set[str](), 1, list[str](), 0

    async def renewing() -> None:
        nonlocal own, svid
        while True:
            await asyncio.sleep(max(0.0, (svid.not_after - time.time()) / 2))
            connections.renew(svid := renewed(rotating))
            own += 1

    async def calling(http: httpx.AsyncClient, body: dict[str, object], headers: dict[str, str]) -> None:
        nonlocal done
        while done < REQUESTS or min(len(shown), own) < CERTIFICATES:
            done += 1
            answer = await http.post(url, json=body, headers=headers)
            if said(answer) != "200 ok":
                lost.append(said(answer))
            with suppress(AttributeError):  # the connection has been closed meanwhile
                tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
                shown.add(tls.getpeercert()["serialNumber"])

    token = issuer.delegated(
        "orchestrator",
        READER,
        iss=rotating.keycloak.issuer,
        aud=rotating.registry.id(DOCUMENTS),
        scope="tool.read",
    )
    call = tool_call("read", id="ENG-101")
    headers = call["headers"] | {"authorization": f"Bearer {token}"}
    renewal = asyncio.create_task(renewing())
    async with httpx.AsyncClient(transport=connections, timeout=30) as http:
        await asyncio.gather(*(calling(http, call["json"], headers) for _ in range(AT_ONCE)))
    renewal.cancel()

    assert lost == []
    assert done >= REQUESTS
    assert json.dumps(records(rotating.journal(DOCUMENTS))).count('"granted"') >= done
    # A healthy run is silent, though the feed has ended with each certificate.
    log = [json.loads(line) for line in rotating.log(DOCUMENTS).read_text().splitlines()]
    assert [line for line in log if line["level"] != "INFO"] == []
