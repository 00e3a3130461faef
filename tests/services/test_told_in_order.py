"""The realm hears of a party's standing in the order in which it changed, however slow the realm is."""

import asyncio
from pathlib import Path

from authorities.registry.operators import Parties
from authorities.registry.state import State
from authorities.registry.stream import Stream
from tests.support.ca import the_ca
from tests.support.system import fresh_standing
from zerotrust.known import SIGNER, Known
from zerotrust.registry import Registry


class Slow:
    """A realm that takes its time with one thing."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.goes_on = asyncio.Event()

    async def enable_client(self, client_id: str) -> None:
        self.told.append(f"enabled {client_id}")

    async def disable_client(self, client_id: str) -> None:
        await self.goes_on.wait()
        self.told.append(f"disabled {client_id}")


async def test_a_party_that_is_reinstated_while_its_drift_is_still_being_told_is_enabled_last(
    tmp_path: Path, registry: Registry
) -> None:
    realm, kept, svid = Slow(), State(tmp_path / "standing.db"), the_ca().svid(SIGNER)
    stream = Stream(
        Known(registry=registry, addresses={}, approved={}), kept, standing=fresh_standing(), identity=lambda: svid
    )
    parties = Parties(stream, kept, realm)
    async with kept.opened():
        await parties.attested({"agent/reader": "agents/reader/planted.py"})
        await parties.attested({})
        reinstating = asyncio.create_task(parties.reinstate("agent/reader"))
        await asyncio.sleep(0.01)
        assert realm.told == []
        realm.goes_on.set()
        await reinstating

    reader = registry.id("agent/reader")
    assert realm.told == [f"disabled {reader}", f"enabled {reader}"]
    assert parties.cause("agent/reader") is None
