"""Screen c in a real browser, with a state that is given here: what the tile of each party says."""

import json
from typing import Any

from playwright.async_api import expect

from tests.support.chromium import BROWSER
from tests.support.served import served
from tests.support.system import registry
from zerotrust.registry.model import Approved

pytestmark = BROWSER

READER, TOOL = "agent/reader", "tool/documents"
AT = 1_796_300_000.25
VIEW: dict[str, Any] = {"problem": "", "asked": AT, "target": READER, "ended": 0, "took": {TOOL: 0.6}, "until": 0}
VIEW |= {"suspended": {READER: "a theft (operator olga)"}, "admitted": {READER: [AT + 0.012, "inference"]}}
VIEW |= {name: [] for name in ("ids", "changes", "rules", "alarms")} | {"serves": {"inference": True}}


async def test_a_tile_says_what_its_party_may_do_and_when_it_was_last_admitted_or_refused_first() -> None:
    known = registry()
    values = {"registry": known, "parties": [{"name": name, "follows_until": None} for name in known.parties]}
    values |= {"approved": {READER: Approved(code="ab" * 32)}, "until": 9e9, "told": "", "thief": False}
    events = f"event: view\ndata: {json.dumps(VIEW)}\n\n", "text/event-stream"
    async with served("parties", values, {"/parties/events": events}, viewport={"width": 390, "height": 800}) as page:
        tiles = {name: page.get_by_role("region", name=name, exact=True) for name in known.parties}
        told = "its last call was admitted by inference at 12:13:20.262 UTC, 12 ms after the order"
        for text in ("suspended", "a theft", told, "may call tool/documents", "approved code abababababab"):
            await expect(tiles[READER]).to_contain_text(text)
        await expect(tiles[TOOL]).to_contain_text(f"first refused {READER} 600 ms after the order")
        assert await tiles[TOOL].locator(".refused").count() == 0
        await expect(tiles["inference"].locator(".granted")).to_have_text("granted")
        buttons = {name: await tile.get_by_role("button").all_inner_texts() for name, tile in tiles.items()}
        assert (buttons[READER], buttons[TOOL]) == (["Reinstate"], ["Suspend"])
        assert [name for name, shown in buttons.items() if not shown] == ["zt", "authority/policy"]
