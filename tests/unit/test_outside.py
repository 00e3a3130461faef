"""A server outside the trust domain: one party reaches it, by the key that the registry knows, and shows it nothing."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from tests.support.ca import the_ca
from tests.support.outside import Server, answering, snapshot_of
from tests.support.system import deployment, fresh_revocations
from zerotrust.context import TRACE, Span
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import deployed_at
from zerotrust.revocation import Revocations
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.egress import EgressClients, calling_with
from zerotrust.transport.pools import Connections, MCPConnections


async def asked(registry: Registry, pin: str, origin: str, *, caller: str = "inference") -> int:
    """The status that a party gets there."""
    directory = snapshot_of(registry, pin, origin).directory(caller)
    async with httpx.AsyncClient(transport=Connections(directory, the_ca().svid(caller)), timeout=10) as http:
        return (await http.get(f"{origin}/v1/models")).status_code


async def test_who_reaches_it_is_answered_and_shows_no_certificate(registry: Registry) -> None:
    server = Server()
    tls = server.context()
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.load_verify_locations(cadata=the_ca().pem)
    async with answering(tls) as (origin, heard, shown):
        assert await asked(registry, server.pin, origin) == 200

    assert shown == [None]
    assert b"authorization" not in heard[0].lower()
    assert b"traceparent" not in heard[0].lower()


@pytest.mark.parametrize("dates", [{"begins": 60.0}, {"begins": -120.0, "ends": -60.0}], ids=["not yet", "ended"])
async def test_the_right_key_is_not_enough_out_of_time(registry: Registry, dates: dict[str, float]) -> None:
    server = Server(**dates)
    async with answering(server.context()) as (origin, heard, _):
        with pytest.raises(httpx.TransportError):
            await asked(registry, server.pin, origin)
    assert heard == []


async def test_a_partys_certificate_is_not_good_there_either(registry: Registry) -> None:
    """Our authority's word does not count outside: the pin is all."""
    async with answering(server_context(the_ca().svid("agent/reader"), certificate_needed=False)) as (origin, heard, _):
        with pytest.raises(httpx.ConnectError, match="not the one that the registry knows"):
            await asked(registry, Server().pin, origin)
    assert heard == []


async def test_a_server_outside_is_never_taken_for_a_party(registry: Registry) -> None:
    """The pin opens its own origin alone."""
    server, name = Server(), registry.dns_name("agent/reader")
    async with answering(server.context()) as (origin, heard, _):
        snapshot = snapshot_of(registry, server.pin, origin).model_copy(
            update={"addresses": {"agent/reader": f"https://{name}"}, "places": {"agent/reader": origin}}
        )
        everybody = replace(snapshot.directory(), outside=snapshot.directory("inference").outside)
        connections = Connections(everybody, the_ca().svid("inference"))
        async with httpx.AsyncClient(transport=connections, timeout=10) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"https://{name}/")
    assert heard == []


# a server outside that takes tokens

SERVER = "llamastack"


@asynccontextmanager
async def calls_to_it(
    registry: Registry, *, caller: str = "inference", revocations: Revocations | None = None
) -> AsyncIterator[tuple[EgressClients, str, list[bytes]]]:
    """A party's calls, the server's origin, and what the server hears."""
    TRACE.set(Span())  # what the gate does for the request being handled
    server = Server()
    async with answering(server.context()) as (origin, heard, _):
        snapshot, svid = snapshot_of(registry, server.pin, origin, SERVER), the_ca().svid(caller)
        directory = snapshot.directory(caller)
        egress = EgressClients(
            snapshot.called(),
            revocations=revocations or fresh_revocations(),
            transport=Connections(directory, svid),
            mcp_transport=MCPConnections(directory, svid),
        )
        yield egress, f"{origin}/v1/models", heard
        await egress.close()


def token_for(audience: str) -> ExchangedToken:
    return ExchangedToken(value="T4", audience=audience, token_id="t4", expires_at=time.time() + 30)


async def test_who_reaches_it_sends_it_the_token_that_is_for_it(registry: Registry) -> None:
    async with calls_to_it(registry) as (egress, url, heard):
        with calling_with(token_for(SERVER)):
            assert (await egress.http.get(url)).status_code == 200
            assert (await egress.mcp_http.get(url)).status_code == 200

    assert [b"authorization: Bearer T4\r\n" in one for one in heard] == [True, True]


@pytest.mark.parametrize("enrolled", [{}, {"other": "0" * 64}], ids=["nobody", "another"])
def test_without_its_key_nobody_knows_where_it_is(registry: Registry, enrolled: dict[str, str]) -> None:
    unknown = deployed_at(deployment(), registry, approved={}, enrolled=enrolled)
    known = deployed_at(deployment(), registry, approved={}, enrolled={SERVER: "0" * 64})

    assert not unknown.outside
    assert not unknown.directory("inference").outside
    assert SERVER not in unknown.called()
    assert known.directory("inference").outside == {deployment().outside[SERVER]: "0" * 64}
    assert known.called()[SERVER] == deployment().outside[SERVER]


def test_the_registrys_own_pin_is_the_pin(registry: Registry) -> None:
    raw = registry.model_dump()
    raw["outside"][SERVER]["spki_sha256"] = "1" * 64
    snapshot = deployed_at(deployment(), Registry.model_validate(raw), approved={}, enrolled={SERVER: "0" * 64})

    assert snapshot.outside[SERVER].spki_sha256 == "1" * 64
