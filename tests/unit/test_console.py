"""What the console keeps and reads has a bound, and its records become hops."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from console import log as module
from console import stream
from console.log import LogReader
from console.sessions import MOST_RUNS, Session, Tokens, challenge_of, cookie_of, state_of, verifier_of
from console.stream import Streams
from console.tasks import MOST_TASKS, Tasks, lane
from testkit.party import principal
from testkit.wire import fresh_revocations
from tests.support.audit_log import Ledger
from tests.support.records import CALLER
from tests.support.system import registry
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Trace
from zerotrust.audit.event_types import Outcome, Request
from zerotrust.audit.forms import Text
from zerotrust.audit.record import GENESIS

FRONT, READER, OURS = (f"spiffe://agents.example/{name}" for name in ("orchestrator", "agent/reader", "console"))


def entry(data: Request | Outcome, trace: int = 1, service: str = FRONT) -> bytes:
    """A record of the first span of a trace, as an entry of the log."""
    spans = Trace(trace_id=f"{trace:032x}", span_id="1" * 16)
    event = AuditEvent(schema=1, time=1, service=service, data=data, trace=spans).canonical()
    return b'{"event":%b,"n":1,"prev":"%b"}' % (event, GENESIS.head.encode())


def begun() -> Request:
    said = {name: getattr(CALLER, name) for name in Caller.__slots__}
    decision = Decided(allowed=True, reason="granted")
    return Request(operation=Text("POST /tasks"), decision=decision, principal=Caller(**said), permission="task.run")


def ended() -> Outcome:
    return Outcome(ended="complete", duration=1_500, request_sha256="0" * 64, answer_sha256="1" * 64, status=200)


def test_a_task_begins_and_ends() -> None:
    tasks = Tasks(FRONT, OURS)
    tasks.take(1, entry(begun()))
    [task] = tasks.latest()
    assert not tasks.ended(task)
    tasks.take(2, entry(ended()))

    assert tasks.ended(task)
    assert [hop["kind"] for hop in tasks.hops(task)] == ["call", "ended"]
    assert [hop["n"] for hop in tasks.hops(task, after=1)] == [2]


def test_the_latest_tasks_are_kept_and_what_is_no_record_is_no_task() -> None:
    tasks = Tasks(FRONT, OURS)
    for number in range(MOST_TASKS + 1):
        tasks.take(number, entry(begun(), number + 1))
    for wrong in (b"", b"{}", b'{"heads":{},"time":1}'):
        tasks.take(0, wrong)

    assert len(tasks.latest()) == MOST_TASKS
    assert tasks.find(f"{1:032x}") is None


@pytest.mark.parametrize(
    ("name", "number"), [("walkthrough", 0), ("agent/writer", 2), ("inference", 4), ("Keycloak", 5)]
)
def test_each_party_has_a_lane(name: str, number: int) -> None:
    assert lane(name) == number


def test_a_session_keeps_the_answers_of_its_last_tasks() -> None:
    session = Session(Tokens(principal(), "alice", ""))
    for number in range(MOST_RUNS + 1):
        session.runs[str(number)] = b"{}"

    assert len(session.runs) == MOST_RUNS
    assert "0" not in session.runs


def test_what_a_sign_in_needs_is_derived_from_the_secret_of_the_browser() -> None:
    derived = {made(secret) for made in (state_of, verifier_of, challenge_of) for secret in ("one", "two")}

    assert len(derived) == 6
    assert all(len(one) == 43 for one in derived)


@pytest.mark.parametrize(
    "sent", ["a=b", f"x={'a' * 42}", f"x={'a' * 43}; x={'b' * 43}", f"x={'é' * 43}", f"X={'a' * 43}", f"xx={'a' * 43}"]
)
def test_a_cookie_of_another_form_or_sent_twice_is_none(sent: str) -> None:
    assert cookie_of([(b"cookie", sent.encode())], "x") is None
    assert cookie_of([(b"cookie", f"x={'a' * 43}".encode())], "x") == "a" * 43


async def test_a_task_is_followed_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST", 0.05)
    reader: Any = LogReader(SimpleNamespace(), lambda *_: None)  # type: ignore[arg-type]
    session = Session(Tokens(principal(), "alice", ""))

    async def admit(_task: object) -> bool:
        return True

    events = Streams(reader, Tasks(FRONT, OURS), fresh_revocations())._events(session, "x", -1, admit, explained=None)
    async with asyncio.timeout(5):
        assert [one.event async for one in events] == ["end"]


async def test_a_file_of_the_log_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    ledger, taken = Ledger(), list[bytes]()
    ledger.batch(FRONT)

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/log/")
        known = {"/audit-policy": ledger.policy_text, "checkpoint": str(ledger.log.note(*ledger.witnesses))}
        return httpx.Response(200, content=known[path] if path in known else ledger.log.files[path])

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    service: Any = SimpleNamespace(registry=registry(), egress=SimpleNamespace(log=http, authorities=http))
    reader = LogReader(service, lambda _, one: taken.append(one))
    await reader.catch_up()
    assert (taken, bool(reader.problem)) == ([], True)

    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    await reader.catch_up()
    assert (len(taken), reader.problem) == (2, "")
