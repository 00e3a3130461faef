"""Certificates of 20 s, renewed under load, in real processes: the registry, and the tool behind its whole gate.

Keycloak has no part in it: the tests' issuer is the one that these two know.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from demo.intruder import outcome, tool_call
from start.system import System
from tests.support.issuer import Issuer
from tests.support.processes import launched, svid_of
from tests.support.records import records
from zerotrust.hardening.pools import Connections
from zerotrust.registry.model import Registry

pytestmark = pytest.mark.e2e

LIFE = 20
"""Seconds from issue to end of every certificate."""
REQUESTS, AT_ONCE = 2000, 8
CERTIFICATES = 3
"""That the tool has shown, and so has its caller, before this counts as a rotation."""
READER, DOCUMENTS = "agent/reader", "tool/documents"


def brief(registry: Registry) -> Registry:
    """The registry, with certificates that end soon."""
    return registry.model_copy(update={"freshness": registry.freshness.model_copy(update={"x509_svid": LIFE})})


@pytest.fixture
async def rotating(tmp_path: Path, registry: Registry, issuer: Issuer) -> AsyncIterator[System]:
    """The registry, the policy authority, the ledger and the tool."""
    async with launched(tmp_path, brief(registry), issuer, [DOCUMENTS]) as system:
        yield system


async def test_no_request_is_lost_while_certificates_are_renewed(rotating: System, issuer: Issuer) -> None:
    """Not by the clock: it goes on until there were enough requests and enough certificates."""
    directory, url = rotating.directory, f"{rotating.address(DOCUMENTS)}/mcp"
    connections = Connections(directory, svid := svid_of(rotating, READER))
    shown, own, lost, done = set[str](), 1, list[str](), 0

    async def renewing() -> None:
        nonlocal own, svid
        while True:
            await asyncio.sleep(max(0.0, (svid.not_after - time.time()) / 2))
            connections.renew(svid := svid_of(rotating, READER))
            own += 1

    async def calling(http: httpx.AsyncClient, body: dict[str, object], headers: dict[str, str]) -> None:
        nonlocal done
        while done < REQUESTS or min(len(shown), own) < CERTIFICATES:
            done += 1
            answer = await http.post(url, json=body, headers=headers)
            if outcome(answer) != "200 ok":
                lost.append(outcome(answer))
            with suppress(AttributeError):  # the connection has been closed meanwhile
                tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
                shown.add(tls.getpeercert()["serialNumber"])

    token = issuer.delegated(
        "orchestrator", READER, iss=rotating.keycloak.issuer, aud=rotating.registry.id(DOCUMENTS), scope="tool.read"
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
