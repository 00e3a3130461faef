"""A server outside the trust domain: one party reaches it, by the key that the registry knows, and shows it nothing."""

import ssl

import httpx
import pytest

from tests.support.ca import the_ca
from tests.support.outside import NAME, Server, answering, snapshot_of
from tests.support.system import deployment
from zerotrust.authority.files.snapshot_files import build_snapshot
from zerotrust.hardening.pools import Connections
from zerotrust.registry.model import Registry


async def asked(registry: Registry, pin: str, origin: str) -> int:
    """The status that the party that reaches it gets there."""
    directory = snapshot_of(registry, pin, origin).directory("inference")
    async with httpx.AsyncClient(transport=Connections(directory, the_ca().svid("inference")), timeout=10) as http:
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


def test_the_registrys_own_pin_is_the_pin(registry: Registry) -> None:
    raw = registry.model_dump()
    raw["outside"]["llamastack"]["spki_sha256"] = "1" * 64
    snapshot = build_snapshot(
        deployment(), Registry.model_validate(raw), approved={}, enrolled={"llamastack": "0" * 64}
    )

    assert snapshot.outside["llamastack"].spki_sha256 == "1" * 64


def test_one_party_connects_to_it_and_a_token_is_for_it_only_if_it_takes_them(registry: Registry) -> None:
    snapshot = snapshot_of(registry, "0" * 64, "https://o.test", "llamastack", NAME)
    assert snapshot.callees() == {"llamastack": "https://o.test"}
    assert [len(snapshot.outside_of(name)) for name in ("inference", "agent/reader")] == [2, 0]
