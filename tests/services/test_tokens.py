"""The console's page of a task's tokens: side by side, and what a thief of one gets, in words and for real."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest

from console import thief as module
from console import tokens
from console.tokens import STEP_OF, WAYS, to_a_tool
from tests.attacks.table import ROWS as CATALOGUE
from tests.support.console import CONSOLE, Browser, Consoled
from tests.support.leaks import holds_token
from tests.support.records import CALLER
from tests.support.thief import USED, FakeThief, fake_thief
from zerotrust.audit.event_parts import Caller
from zerotrust.decision import Denied

TASK = "Read the incident reports and file a summary."


@pytest.fixture
async def thief(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeThief]:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    async with fake_thief() as alive:
        yield alive


async def tokens_page(alice: Browser) -> str:
    """The address of the page for a task of hers that has ended."""
    path = await alice.start(TASK)
    await alice.hops(path)
    return f"{path}/tokens"


async def test_the_tokens_of_a_way_are_side_by_side_with_what_changed(here: Consoled) -> None:
    alice = await here.person("alice")

    page = unescape((await alice.http.get(await tokens_page(alice))).text)

    cells = [re.findall(">([^<]+)</?t[dh]", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    rows = {one[0]: one[1:] for one in cells if one}
    assert re.findall("<b>(T[0-9])</b>", page) == ["T0", "T1", "T2"]
    assert rows["for"] == ["orchestrator", "agent/reader", "tool/documents"]
    assert rows["taken from"] == [
        f"{party}, by its certificate" for party in ("console", "orchestrator", "agent/reader")
    ]
    assert rows["on behalf of"] == ["you"] * 3
    assert re.search(r'<td data-of="T2" class="changed">tool.read.*<s>inference.run</s>', page)
    assert "Alone, nothing." in page
    assert "only from agent/reader" in page
    assert not holds_token(page)


async def test_without_a_thief_each_way_is_told_and_none_is_tried(here: Consoled) -> None:
    alice = await here.person("alice")
    path = await tokens_page(alice)

    page = unescape((await alice.http.get(path)).text)

    assert all(way["told"] in page and f"Row {way['row']} of the catalogue" in page for way in WAYS.values())
    assert "INTRUDERS=1" in page
    assert "<button name" not in page
    assert (await alice.send(path, way="too-late")).status_code == 404


@pytest.mark.usefixtures("thief")
async def test_a_task_without_t2_offers_no_way_of_trying(here: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "to_a_tool", lambda all_of_a_task: [*all_of_a_task][:2])  # as if it had ended there
    alice = await here.person("alice")

    page = unescape((await alice.http.get(await tokens_page(alice))).text)

    assert "The records of this task have no T2" in page
    assert "<button name" not in page


def test_each_way_has_its_row_of_the_catalogue_and_the_step_that_refuses() -> None:
    at_keycloak = WAYS["more-scope"]
    for way in WAYS.values():
        row = CATALOGUE[way["row"]]
        assert (way["attack"], way["reason"] if way is not at_keycloak else "exchange_refused") == (
            row.attack,
            row.reason,
        )
    # What Keycloak itself answers; the row has the reason that is on record at a party that asks.
    assert at_keycloak["reason"] == "invalid_scope"
    assert {id_: STEP_OF[way["reason"]][1] for id_, way in WAYS.items() if way is not at_keycloak} == {
        "another-service": "verify",
        "another-process": "bind",
        "too-late": "verify",
        "after-sign-out": "revoked",
    }


async def test_a_use_is_told_with_the_step_that_refused_it_and_is_on_record(thief: FakeThief, here: Consoled) -> None:
    alice = await here.person("alice")

    page = unescape((await alice.send(await tokens_page(alice), way="another-process")).text)

    assert thief.orders == [{"order": "use", "way": "another-process"}]
    [used] = re.findall('id="used".*?</section>', page, re.DOTALL)
    assert "401 <code>not_bound</code>" in used
    assert "of the gate, <code>bind</code>" in used
    assert "Tried: T2, from another process" in used
    assert WAYS["another-process"]["told"] in used
    assert "Expected:" not in used
    assert "Row 36 of the catalogue" in used
    recorded = [one for one in here.system.records(CONSOLE) if one.get("operation") == "task.attack"]
    assert [(one["subject"], one["reason"]) for one in recorded] == [("alice", "granted")]
    assert re.findall("zt audit show ([0-9a-f]{32})<", used) == [one["trace_id"] for one in recorded]
    assert not holds_token(page)


async def test_what_was_not_refused_is_told_as_wrong(thief: FakeThief, here: Consoled) -> None:
    thief.answers = [{**USED, "status": 200, "reason": "ok"}]
    alice = await here.person("alice")

    page = (await alice.send(await tokens_page(alice), way="another-process")).text

    assert "granted: this is not as it should be" in page
    assert "Expected: <code>not_bound</code>" in page


async def test_an_operator_may_press_for_all_and_others_see_nothing(thief: FakeThief, here: Consoled) -> None:
    alice, bob, eve, olga = [await here.person(user) for user in ("alice", "bob", "eve", "olga")]
    path = await tokens_page(alice)

    assert [(await one.http.get(path)).status_code for one in (olga, bob, eve)] == [200, 404, 404]
    assert [(await one.send(path, way="too-late")).status_code for one in (olga, bob, eve)] == [200, 404, 404]
    assert [(await olga.send(path, way=way)).status_code for way in ("nothing", "")] == [404, 404]
    assert len(thief.orders) == 1


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ({"error": "busy"}, 429, "thief_busy"),
        ({"error": "LoginError"}, 503, "thief_unavailable"),
        (["no object"], 503, "thief_unavailable"),
        (USED | {"way": ["x"] * module.MOST_BYTES}, 503, "thief_unavailable"),
        ({}, 503, "thief_unavailable"),
        (USED | {"reason": ["revoked"]}, 503, "thief_unavailable"),
        (USED | {"reason": "Sign in again: https://attacker.test"}, 503, "thief_unavailable"),
        (USED | {"took": "long"}, 503, "thief_unavailable"),
        (USED | {"address": None}, 503, "thief_unavailable"),
    ],
)
async def test_a_thief_that_does_not_use_a_token_is_told(
    thief: FakeThief, here: Consoled, answer: Any, status: int, reason: str
) -> None:
    thief.answers = [answer]
    alice = await here.person("alice")

    refused = await alice.send(await tokens_page(alice), way="too-late")

    assert (refused.status_code, reason in refused.text) == (status, True)


async def test_a_thief_that_does_not_answer_is_not_waited_for(
    thief: FakeThief, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    thief.may_answer.clear()

    with pytest.raises(Denied, match="thief_unavailable"):
        await asyncio.wait_for(module.Thief().use("too-late", "alice"), 5)
    thief.may_answer.set()


async def test_the_pause_of_the_latest_people_is_remembered(thief: FakeThief, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 60.0)
    monkeypatch.setattr(module, "MOST_PEOPLE", 2)
    asked = module.Thief()
    for person in ("alice", "bob", "carol", "alice"):
        await asked.use("too-late", person)

    with pytest.raises(Denied, match="thief_busy"):
        await asked.use("too-late", "carol")
    assert len(thief.orders) == 4


def test_without_a_call_of_a_tool_the_longest_way_is_told() -> None:
    said = {name: getattr(CALLER, name) for name in Caller.__slots__}

    def token(id_: str, audience: str, *lineage: str) -> Caller:
        return Caller(**(said | {"token_id": id_, "audience": f"spiffe://x/{audience}", "lineage": lineage}))

    t0, t1, to_model = token("0", "orchestrator"), token("1", "agent/reader", "0"), token("2", "inference", "0", "1")
    to_tool = token("3", "tool/documents", "0", "1")

    assert to_a_tool([t0, t1, to_model, to_tool]) == [t0, t1, to_tool]
    assert to_a_tool([t0, t1, to_model]) == [t0, t1, to_model]
    assert to_a_tool([]) == []
