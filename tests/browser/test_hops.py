"""Screen a in a real browser, with hops that are given here: what it tells of them, and how they are played."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import expect

from tests.support.chromium import BROWSER
from tests.support.served import served

pytestmark = BROWSER

ID = "1" * 32
TOKEN = {"id": "t0", "for": "orchestrator", "through": [], "scopes": ["agent.run"], "dropped": [], "ends": 300}
T0 = TOKEN | {"name": "T0", "own": True}
NEW = TOKEN | {"name": "T1", "for": "agent/reader", "scopes": ["tool.read"], "dropped": ["agent.run"]}
T1 = NEW | {"own": False, "through": ["orchestrator", "agent/reader"]}
FACTS = {"span": "a", "allowed": True, "reason": "", "rules": [], "policy": "3-abc", "code": "c0de", "approved": True}
RULE = {"id": "read-own", "says": "A report is read in its department."}
ABOUT = {"groups": ["/engineering"], "facts": {"department": "/finance"}}
REFUSED = ABOUT | {"allowed": False, "reason": "resource_denied", "rules": [RULE], "code": "bad", "approved": False}
TOOL = {"from": "tool/documents", "to": "tool/documents"}
HOPS: list[dict[str, Any]] = [
    FACTS | {"n": 7, "kind": "call", "from": "console", "to": "orchestrator", "what": "POST /tasks", "token": T0},
    FACTS | {"n": 9, "kind": "access", **TOOL, "what": "read FIN", "token": T1} | REFUSED,
    FACTS | {"n": 8, "kind": "exchange", "from": "orchestrator", "to": "Keycloak", "what": "a token", "token": T0},
]
HOPS[2]["new"] = NEW
ENDED = {"kind": "ended", "span": "a", "ended": "complete", "status": 200, "took": 12.3}


def events(age: int) -> str:
    """The stream of a task whose log was cosigned so many seconds ago."""
    hops = [hop | {"by": hop["to"].replace("Keycloak", "orchestrator"), "at": hop["n"] + 90} for hop in HOPS]
    told: list[tuple[str, Any]] = [("log", {"problem": "", "age": age}), *(("hop", one) for one in hops)]
    told += [("hop", ENDED | {"by": "orchestrator"}), ("answer", {"text": "Done.", "refused": ["FIN"]}), ("end", {})]
    return "".join(f"event: {event}\ndata: {json.dumps(data)}\n\n" for event, data in told)


def task(age: int) -> tuple[str, dict[str, Any], dict[str, tuple[str, str]]]:
    values = {"id": ID, "owner": "alice", "own": True, "task": SimpleNamespace(id=ID, owner="alice")}
    values |= {"time": "2026-11-30T12:00:00+00:00", "jaeger": ""}
    return "task", values, {"/hops": (events(age), "text/event-stream")}


@pytest.mark.parametrize("width", [1280, 390])
async def test_hops_are_told_in_order_with_tokens_and_rules_in_words(width: int) -> None:
    zone: dict[str, Any] = {"timezone_id": "Asia/Kolkata"}
    async with served(*task(age=5), viewport={"width": width, "height": 800}, **zone) as page:
        await expect(page.locator("time")).to_have_text(re.compile(r"Nov 30, 2026, 5:30:00\sPM GMT\+5:30"))
        await expect(page.locator("#log")).to_contain_text("GMT+5:30")
        hops = page.locator("#hops > li")
        await expect(hops).to_have_count(3)
        await expect(hops.nth(0)).to_contain_text("console calls orchestrator POST /tasks · 200, 12 ms")
        await expect(hops.nth(0).locator(".chip")).to_have_text("T0for orchestrator: agent.run 203 s left then")
        await expect(hops.nth(1)).to_contain_text("orchestrator asks Keycloak for a token")
        await expect(hops.nth(1).locator("s")).to_have_text("agent.run")
        await expect(hops.nth(2)).to_contain_text("refused by tool/documents: read FIN")
        about = "The user's groups: /engineering. What the policies were told of it: department /finance."
        for told in (
            RULE["says"],
            about,
            "for orchestrator, for alice",
            "has not verified it",
            "not what is approved now",
        ):
            await expect(hops.nth(2).locator(".why")).to_contain_text(told)
        await expect(page.locator("#chains")).to_have_text("alice in person, by console, at orchestrator")
        await expect(page.locator("#refusals")).to_contain_text("refused by tool/documents: read FIN")
        await expect(page.locator("#code li")).to_have_count(2)
        await expect(page.locator("#text")).to_have_text("Done.\n\nRefused: FIN")
        await expect(page.locator("#log")).to_contain_text("A quorum of its witnesses cosigned it by")
        assert await page.locator(".arrow").first.is_visible() == (width > 1000)


@pytest.mark.parametrize(
    ("then", "mark", "refusals"),
    [
        pytest.param(ENDED, ".granted", "Nothing.", id="answered"),
        pytest.param(ENDED | {"status": 403}, ".faint", "Nothing.", id="answered with a refusal"),
        pytest.param(ENDED | {"ended": "cut_off"}, ".faint", "Nothing.", id="cut off"),
        pytest.param(HOPS[0] | REFUSED | {"kind": "refusal", "n": 8}, ".faint", "refused by", id="refused"),
    ],
)
async def test_a_call_that_was_admitted_has_the_mark_of_success_only_if_it_had_any(
    then: dict[str, Any], mark: str, refusals: str
) -> None:
    hops = [one | {"by": "orchestrator", "at": 97 + number} for number, one in enumerate((HOPS[0], then))]
    stream = "".join(f"event: hop\ndata: {json.dumps(one)}\n\n" for one in hops) + "event: end\ndata: {}\n\n"
    name, values, _ = task(age=5)
    async with served(name, values, {"/hops": (stream, "text/event-stream")}) as page:
        await expect(page.locator("section:has(#refusals)")).to_contain_text(refusals)
        first = page.locator("#hops > li").first
        await expect(first.locator(f".label > span > {mark}")).to_have_count(1)
        assert ("admitted only: " in await first.inner_text()) == (mark == ".faint")


async def test_hops_are_played_and_shown_step_by_step() -> None:
    async with served(*task(age=200)) as page:
        shown, state = page.locator("#hops > li:visible"), page.locator("#state")
        await expect(state).to_have_text("3 hops")
        await expect(page.locator("#log")).to_contain_text("is it held back?")
        for button, count in (("Step", 1), ("Step", 2), ("Back", 1), ("Back", 0), ("Show all", 3), ("Back", 2)):
            await page.get_by_role("button", name=button, exact=True).click()
            await expect(shown).to_have_count(count)
        await expect(state).to_contain_text("2 of 3: ")
        await page.locator("#refusals a").click()
        await expect(shown).to_have_count(3)
        await page.get_by_role("button", name="Play").click()
        await expect(state).to_contain_text("1 of 3: ")
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_role("button", name="Play").click()
        await expect(state).to_have_text("3 hops")
        await expect(page.get_by_role("button", name="Play")).to_be_visible()
