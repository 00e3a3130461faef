"""What the console keeps and reads has a bound, and records become hops."""

import asyncio
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from console import log as module
from console import stream
from console.hops import Known, hop_of
from console.log import LogReader
from console.run import result_of
from console.sessions import MOST, MOST_OF_A_USER, Session, Sessions, state_of
from console.tasks import Tasks
from testkit.party import principal
from tests.support.audit_log import Ledger
from tests.support.console import answered, published, reading, running
from tests.support.records import CALLER
from tests.support.system import registry
from tests.support.tlog import witness
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Peer, Policy, Resource, Trace
from zerotrust.audit.event_types import Access, Exchange, Outcome, Request
from zerotrust.audit.forms import Text, sanitize
from zerotrust.audit.record import GENESIS, event_of
from zerotrust.authority.log.tiles import WIDTH
from zerotrust.decision import Rule
from zerotrust.possession import hashed

FRONT, READER, OURS = (f"spiffe://agents.example/{name}" for name in ("orchestrator", "agent/reader", "console"))


def known() -> Known:
    rules = {"read": Rule("Who may read.", frozenset({"document.read"})), "use": Rule("Who may.", frozenset({"use"}))}
    calls: dict[str, tuple[str, ...]] = {
        "console": (),
        "orchestrator": ("agent/reader",),
        "agent/reader": (),
        "agent/writer": (),
    }
    return Known(calls, {"agent/reader": "ab" * 32}, "1-abc", rules)


def entry(data: Request | Outcome, trace: int = 1, service: str = FRONT) -> bytes:
    """A record of the first span of a trace, as an entry of the log."""
    spans = Trace(trace_id=f"{trace:032x}", span_id="1" * 16)
    event = AuditEvent(schema=1, time=1, service=service, data=data, trace=spans).canonical()
    return b'{"event":%b,"n":1,"prev":"%b"}' % (event, GENESIS.head.encode())


def take(tasks: Tasks, number: int, entry: bytes) -> None:
    tasks.take(number, event_of(entry), entry)


def begun() -> Request:
    said = {name: getattr(CALLER, name) for name in Caller.__slots__}
    decision = Decided(allowed=True, reason="granted")
    return Request(operation=Text("POST /tasks"), decision=decision, principal=Caller(**said), permission="task.run")


def ended() -> Outcome:
    return Outcome(ended="complete", duration=1_500, request_sha256="0" * 64, answer_sha256="1" * 64, status=200)


def test_a_task_begins_and_ends() -> None:
    tasks = Tasks(FRONT, OURS, known)
    take(tasks, 1, entry(begun()))
    [task] = tasks.latest(tasks.owners)
    assert not task.ended
    take(tasks, 2, entry(ended()))

    assert task.ended
    assert [hop["kind"] for hop in task.hops()] == ["call", "ended"]
    assert [hop["n"] for hop in task.hops(after=1)] == [2]


def test_what_needs_the_permission_of_a_task_is_none() -> None:
    tasks = Tasks(FRONT, OURS, known)
    take(tasks, 0, entry(replace(begun(), operation=Text("GET /receipts/1"))))

    assert not tasks.owners


def test_a_record_of_no_registered_party_is_no_task() -> None:
    tasks = Tasks(FRONT, OURS, known)
    take(tasks, 1, entry(begun(), service="spiffe://agents.example/invented"))
    take(tasks, 2, entry(begun()))

    assert [hop["n"] for hop in tasks.latest(tasks.owners)[0].hops()] == [2]


def test_a_refusal_is_told_with_the_rules_that_could_have_permitted_it() -> None:
    asked = Resource(kind="Document", name=sanitize("FIN-201"))
    token = replace(begun().principal or CALLER, scopes=("tool.read",), lineage=("before",), audience=READER)
    refused = Decided(allowed=False, reason="resource_denied", policy=Policy(version="1-abc"))
    access = Access(operation=sanitize("document.read"), resource=asked, decision=refused, principal=token)
    event = AuditEvent(schema=1, time=1_500_000, service=READER, data=access, measurement="ab" * 32)
    before = replace(token, scopes=("agent.invoke", "tool.read"))

    hop = hop_of(event, {"before": before}, known())
    assert hop
    assert (hop["by"], hop["what"], hop["reason"]) == ("agent/reader", "document.read FIN-201", "resource_denied")
    assert hop["rules"] == [{"id": "read", "says": "Who may read."}]
    assert (hop["code"], hop["approved"]) == ("ab" * 6, True)
    assert (hop["token"]["scopes"], hop["token"]["dropped"]) == (("tool.read",), ["agent.invoke"])

    other = replace(event, measurement="cd" * 32, data=replace(access, decision=replace(refused, policy=None)))
    assert (hop := hop_of(other, {}, known()))
    assert (hop["rules"], hop["approved"], hop["token"]["dropped"]) == ([], False, [])


def test_the_newest_sessions_of_a_user_stay_open_and_the_oldest_of_all_gives_way() -> None:
    sessions = Sessions()
    own = [sessions.begin(Session(principal(), "alice", "")) for _ in range(MOST_OF_A_USER + 1)]
    first = sessions.find(own[1])
    assert [sessions.find(one) is not None for one in own] == [False] + [True] * MOST_OF_A_USER

    for number in range(MOST - MOST_OF_A_USER + 1):
        sessions.begin(Session(principal(subject=f"user-{number}"), "", ""))

    assert [sessions.find(one) is not None for one in own[1:]] == [False] + [True] * (MOST_OF_A_USER - 1)
    assert first
    assert not first.open


def test_what_a_sign_in_needs_is_derived_from_the_secret_of_the_browser() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert hashed(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636 appendix B

    assert len({made(secret) for made in (partial(state_of, until="1"), hashed) for secret in ("one", "two")}) == 4


def test_what_the_console_itself_records_is_no_hop() -> None:
    """It has the trace of the task."""
    tasks = Tasks(FRONT, OURS, known)
    for number, service in enumerate((OURS, FRONT, OURS)):
        take(tasks, number, entry(begun(), service=service))

    assert [[hop["n"] for hop in task.hops()] for task in tasks.latest(tasks.owners)] == [[1]]


async def test_the_answers_of_a_session_that_has_ended_are_forgotten() -> None:
    runs, session, other = running(b"{}"), *(Session(principal(), "alice", "") for _ in range(2))
    trace = await answered(runs, session)
    assert runs.find(session, trace)

    session.open = False
    await answered(runs, other)
    assert runs.find(session, trace) is None


async def test_a_task_is_followed_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token lasts longer, so a browser that is cut off by its end asks again once."""
    assert (registry().parties["console"].max_ttl or 0) > stream.LONGEST
    monkeypatch.setattr(stream, "LONGEST", 0.05)
    monkeypatch.setattr(stream, "LOOK", 0.01)
    reader = LogReader(reading(lambda _: httpx.Response(404)), lambda *_: None)
    session, tasks = Session(principal(), "alice", ""), Tasks(FRONT, OURS, known)
    runs: Any = SimpleNamespace(find=lambda *_: None)

    events = stream.follow(reader, tasks, runs, session, "x", seen=None, explained=False, after=-1)
    async with asyncio.timeout(5):
        assert [one.event async for one in events] == ["log", "log", "end"]


async def test_a_file_of_the_log_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    monkeypatch.setattr(module, "AGAIN", 0)
    ledger, taken = Ledger(), list[bytes]()
    ledger.batch(FRONT)
    reader = LogReader(reading(published(ledger)), lambda _, one: taken.append(one))
    await reader.catch_up()
    assert (taken, bool(reader.problem)) == ([], True)

    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    await reader.catch_up()
    assert (len(taken), reader.problem) == (2, "")


async def test_of_a_log_the_end_is_read_at_first_and_all_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no file for the size at which the reader begins, and one entry cannot be taken."""
    monkeypatch.setattr(module, "WINDOW", 2 * WIDTH)
    monkeypatch.setattr(module, "EVERY", 0)
    monkeypatch.setattr(module, "AT_A_TIME", 0)
    ledger, taken, problems = Ledger(), list[int](), list[str]()

    def take(number: int, _entry: bytes) -> None:
        if number == 3 * WIDTH:
            raise ValueError("no entry of ours")
        taken.append(number)

    reader = LogReader(reading(published(ledger)), take)
    for size in (1_000, 2_000):
        ledger.log.grow(*(b"entry" for _ in range(1_000)))
        while not problems or problems[-1]:
            await reader.catch_up()
            problems.append(reader.problem)
        assert taken == [one for one in range(1_000 - 2 * WIDTH, size) if one != 3 * WIDTH]
        assert all("records of the audit log to read" in one for one in problems[:-1])
        problems.clear()
    assert reader.left_out == 1_000 - 2 * WIDTH


async def test_a_change_of_the_witnesses_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("EVERY", "AGAIN"):
        monkeypatch.setattr(module, pause, 0)
    ledger, problems = Ledger(), list[bool]()
    reader = LogReader(reading(published(ledger)), lambda *_: None)
    for witnesses in (ledger.witnesses, (witness("another"),)):
        ledger.witnesses = witnesses
        ledger.batch(FRONT)
        for _ in range(2):
            await reader.catch_up()
            problems.append(bool(reader.problem))

    assert problems == [False, False, True, False]


async def test_a_ledger_that_is_slow_is_asked_once_and_stops_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    asked = list[str]()

    async def never(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        await asyncio.Event().wait()
        raise AssertionError

    reader = LogReader(reading(never), lambda *_: None)
    async with asyncio.timeout(5):
        await asyncio.gather(*(reader.catch_up() for _ in range(10)))
        await reader.catch_up()
    assert (len(asked), bool(reader.problem)) == (1, True)


async def test_a_log_that_gets_shorter_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0)
    ledger, taken = Ledger(), list[int]()
    ledger.batch(FRONT)
    before = ledger.log.note(*ledger.witnesses)
    ledger.batch(FRONT)
    notes = iter((ledger.log.note(*ledger.witnesses), before))
    reader = LogReader(reading(published(ledger, lambda: next(notes))), lambda number, _: taken.append(number))
    await reader.catch_up()
    assert (taken, reader.problem) == ([0, 1, 2, 3], "")

    await reader.catch_up()
    assert reader.problem


@pytest.mark.parametrize("answer", [b"{", b"[]", b'{"result": {}, "steps": null}', b'{"result": {"refused": 3}}'])
def test_an_answer_of_other_types_than_ours_is_said_to_be_unreadable(answer: bytes) -> None:
    assert result_of(answer) == {"error": "an answer that cannot be read"}


def test_an_answer_is_told_with_the_text_of_each_step_and_what_is_no_step_is_left_out() -> None:
    answer = b'{"steps": [5, {"text": "Summary."}, {"text": null, "refused": ["r"]}], "result": {"text": "Filed."}}'

    assert result_of(answer) == {"text": "Summary.\n\nFiled.", "refused": ["r"]}


def test_a_call_is_told_with_who_sent_it_and_an_exchange_with_whom_the_token_is_for() -> None:
    exchange = Exchange(
        audience=READER,
        scopes=(),
        decision=Decided(allowed=True, reason="granted"),
        principal=CALLER,
        parent_token_id="T0",
        token_id="T1",
    )
    told: list[Request | Exchange] = [
        begun(),
        replace(begun(), peer=Peer(id=OURS)),
        replace(begun(), principal=None),
        exchange,
    ]
    hops = [hop_of(AuditEvent(schema=1, time=1, service=FRONT, data=one), {}, known()) or {} for one in told]

    assert [one["from"] for one in hops] == [
        CALLER.party.rpartition("agents.example/")[2],
        "console",
        "a user",
        "orchestrator",
    ]
    assert hops[3]["what"] == "a token for agent/reader"
