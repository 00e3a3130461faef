"""A server outside the trust domain: one party reaches it, by the key that the registry knows, and shows it nothing."""

import ssl
from dataclasses import replace

import httpx
import pytest

from tests.support.ca import the_ca
from tests.support.outside import NAME, Server, answering, with_server
from tests.support.system import fresh_revocations
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.egress import EgressClients, calling_with
from zerotrust.transport.pools import Connections, MCPConnections


def snapshot_of(registry: Registry, pin: str, origin: str) -> RegistrySnapshot:
    return RegistrySnapshot(registry=with_server(registry, pin), addresses={}, outside={NAME: origin}, approved={})


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


@pytest.mark.parametrize("caller", ["agent/reader", "orchestrator"])
async def test_nobody_else_gets_there(registry: Registry, caller: str) -> None:
    server = Server()
    async with answering(server.context()) as (origin, heard, _):
        with pytest.raises(httpx.ConnectError, match="no party is registered at this address"):
            await asked(registry, server.pin, origin, caller=caller)
    assert heard == []


async def test_another_key_is_told_nothing(registry: Registry) -> None:
    async with answering(Server().context()) as (origin, heard, _):
        with pytest.raises(httpx.ConnectError, match="not the one that the registry knows"):
            await asked(registry, Server().pin, origin)
    assert heard == []


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


async def test_no_token_goes_there(registry: Registry) -> None:
    server = Server()
    async with answering(server.context()) as (origin, heard, _):
        snapshot = snapshot_of(registry, server.pin, origin)
        directory, svid = snapshot.directory("inference"), the_ca().svid("inference")
        egress = EgressClients(
            snapshot.called(),
            revocations=fresh_revocations(),
            transport=Connections(directory, svid),
            mcp_transport=MCPConnections(directory, svid),
        )
        token = ExchangedToken(value="T1", audience=registry.id("inference"), token_id="t1", expires_at=1e12)
        with calling_with(token), pytest.raises(Denied) as refused:
            await egress.http.get(f"{origin}/v1/models")
        with calling_with(token):
            answer = await egress.mcp_http.get(f"{origin}/v1/models")
        assert (await egress.without_token.get(f"{origin}/v1/models")).status_code == 200
        await egress.close()

    assert refused.value.reason is Reason.WOULD_WIDEN
    assert answer.status_code == refused.value.status
    assert [b"T1" in one for one in heard] == [False]
