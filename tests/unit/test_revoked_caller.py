"""The gate, and callers that are revoked: (7) confirm, and what becomes of a call that is under way."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.ca import workload
from tests.support.door import NOW, Door
from tests.support.issuer import Issuer
from zerotrust.adapters.mcp_tools import ERA
from zerotrust.call_lifetime import REVOCATION_GRACE
from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
TEXT = (b"content-type", b"text/plain")


@pytest.fixture
def issuer(still_issuer: Issuer) -> Issuer:
    return still_issuer


def tool_call(name: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name}}


def for_the_tool(issuer: Issuer, **changed: Any) -> str:
    good = {"aud": issuer.registry.id("tool/documents"), "scope": "tool.read tool.write"}
    return issuer.delegated("orchestrator", "agent/writer", **(good | changed))


def revoke(door: Door, kind: Any = "user", name: str = "alice") -> None:
    door.revocations.change((door.revocations.number or 0) + 1, (kind, name), "a theft")


# (7) confirm


class Confirming:
    """Answers as the issuer would; keeps what it was asked, and what was on record by then."""

    def __init__(self, door: Door, refusal: Denied | None = None) -> None:
        self.door, self.refusal = door, refusal
        self.asked: list[tuple[str, str]] = []
        self.recorded: list[int] = []

    async def __call__(self, caller: Principal, permission: str) -> None:
        self.asked.append((caller.token_id, permission))
        self.recorded.append(len(self.door.records))
        if self.refusal:
            raise self.refusal


async def test_the_issuer_is_asked_on_every_call_after_the_decision_and_before_the_record(
    tool_door: Door, issuer: Issuer
) -> None:
    confirming = tool_door.confirm = Confirming(tool_door)
    token = for_the_tool(issuer, jti="T2w")

    for name in ("create", "replace", "create"):  # the same token, and no memory of what was said of it
        assert (await tool_door.call(token, tool_call(name))).status == 200

    assert confirming.asked == [("T2w", "tool.write")] * 3
    assert confirming.recorded == [0, 1, 2]
    assert len(tool_door.handled) == 3


async def test_the_issuer_is_not_asked_about_whom_the_policy_refuses(tool_door: Door, issuer: Issuer) -> None:
    confirming = tool_door.confirm = Confirming(tool_door)

    await tool_door.call(for_the_tool(issuer, scope="tool.read"), tool_call("replace"))
    revoke(tool_door)
    await tool_door.call(for_the_tool(issuer), tool_call("replace"))

    assert confirming.asked == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [(Reason.REVOKED, 401), (Reason.ISSUER_UNAVAILABLE, 503), (Reason.IDENTITY_UNAVAILABLE, 503)],
)
async def test_whom_the_issuer_does_not_confirm_is_refused_and_on_record(
    tool_door: Door, issuer: Issuer, reason: Reason, status: int
) -> None:
    tool_door.confirm = Confirming(tool_door, Denied(reason, "for the record"))

    reply = await tool_door.call(for_the_tool(issuer), tool_call("create"))

    assert (reply.status, reply.reason, reply.json()["id"]) == (status, reason, 7)
    assert ("retry-after" in reply.headers) is (status == 503)
    assert tool_door.handled == []
    [record] = tool_door.records
    assert (record["allowed"], record["reason"], record["detail"]) == (False, reason, "for the record")
    assert (record["permission"], record["operation"]) == ("tool.write", "POST tools/call create")
    assert "for the record" not in str(reply.messages)


# revoked while it comes in


@pytest.mark.parametrize(
    ("meanwhile", "status", "reason"),
    [
        (revoke, 401, Reason.REVOKED),
        (lambda door: door.revocations.forget(), 503, Reason.REVOCATION_UNKNOWN),
    ],
    ids=["revoked", "not known any more"],
)
async def test_who_is_not_good_any_more_when_the_body_has_come_in_gets_no_further(
    door: Door, issuer: Issuer, meanwhile: Callable[[Door], object], status: int, reason: Reason
) -> None:
    async def late() -> Message:
        meanwhile(door)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    reply = await door.ask(issuer.token(), receive=late)

    assert (reply.status, reply.reason) == (status, reason)
    assert "begun" not in orjson.loads(reply.body)
    assert door.handled == []
    assert [r["reason"] for r in door.records] == [Reason.GRANTED, reason]


async def test_who_is_revoked_while_the_issuer_is_asked_gets_no_further(tool_door: Door, issuer: Issuer) -> None:
    async def meanwhile(_caller: Principal, _permission: str) -> None:
        revoke(tool_door)

    tool_door.confirm = meanwhile
    reply = await tool_door.call(for_the_tool(issuer), tool_call("create"))

    assert (reply.status, reply.reason) == (401, Reason.REVOKED)
    assert tool_door.handled == []


# what was kept


async def test_a_verified_token_that_is_remembered_is_refused_all_the_same_for_as_long_as_it_is_revoked(
    door: Door, issuer: Issuer
) -> None:
    token = issuer.token()
    for user in (token, issuer.token(sub="bob")):
        assert (await door.ask(user)).status == 200
    assert len(door.gate._token_cache._seen) == 2

    revoke(door)

    for _ in range(2):
        assert (await door.ask(token)).reason == Reason.REVOKED
    assert len(door.handled) == 2


# in flight


class Handler:
    """Begins, has its caller revoked in the middle, and goes on as a test says."""

    def __init__(self, door: Door, *, first: bytes | None = None, header: tuple[bytes, bytes] = TEXT) -> None:
        self.door, self.first, self.header = door, first, header
        self.go_on, self.ended = asyncio.Event(), False
        self.revoke: Callable[[Door], None] = revoke
        door.handler = self

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            if self.first is not None:
                await self._begin(send)
                await send({"type": "http.response.body", "body": self.first, "more_body": True})
            self.revoke(self.door)
            await self.go_on.wait()
            if self.first is None:
                await self._begin(send)
            await send({"type": "http.response.body", "body": b"what was done"})
        finally:
            self.ended = True

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [self.header]})


@pytest.fixture
def no_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.call_lifetime.REVOCATION_GRACE", 0.0)


def reasons(door: Door) -> list[str]:
    return [record["reason"] for record in door.records]


async def test_a_handler_has_a_moment_to_tell_what_was_done(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.call_lifetime.REVOCATION_GRACE", 60)  # however slow this machine is
    handler = Handler(door)
    asyncio.get_running_loop().call_later(0.1, handler.go_on.set)

    reply = await door.ask(issuer.token())

    assert (reply.status, reply.body) == (200, b"what was done")
    assert reasons(door) == [Reason.GRANTED]
    assert (await door.ask(issuer.token())).reason == Reason.REVOKED  # the next call has none


async def test_the_moment_is_as_long_as_it_says_and_never_longer_than_the_token(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: list[asyncio.Timeout] = []
    timeout = asyncio.timeout

    def noted(delay: float | None) -> asyncio.Timeout:
        lives.append(timeout(delay))
        return lives[-1]

    monkeypatch.setattr("zerotrust.call_lifetime.asyncio.timeout", noted)
    loop, ends = asyncio.get_running_loop(), list[float]()

    def revoked(door: Door) -> None:
        now, before = loop.time(), lives[-1].when() or 0.0
        revoke(door)
        ends.append((lives[-1].when() or 0.0) - now)
        assert (lives[-1].when() or 0.0) <= before
        handler.go_on.set()

    handler = Handler(door)
    handler.revoke = revoked
    await door.ask(issuer.token(sub="alice"))
    assert REVOCATION_GRACE <= ends[0] < 10

    door.revocations.change(2, ("user", "alice"), None)
    door.clock.now = NOW + 59.9
    await door.ask(issuer.token(sub="alice"))
    assert ends[1] <= 0.1


async def test_one_that_hangs_is_refused_and_ended_once_the_moment_is_over(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.call_lifetime.REVOCATION_GRACE", 0.05)
    handler = Handler(door)

    reply = await door.ask(issuer.token())

    assert (reply.status, reply.reason) == (401, Reason.REVOKED)
    assert orjson.loads(reply.body)["begun"] is True
    assert handler.ended
    assert reasons(door) == [Reason.GRANTED, Reason.REVOKED]
    assert door.records[-1]["detail"] == "user alice: a theft"


@pytest.mark.usefixtures("no_last_words")
async def test_who_called_a_tool_is_told_as_json_rpc_also_if_an_ancestor_of_its_token_was_revoked(
    tool_door: Door, issuer: Issuer
) -> None:
    handler = Handler(tool_door)
    handler.revoke = lambda door: revoke(door, "token", "ancestor-0")

    reply = await tool_door.call(for_the_tool(issuer), tool_call("create"))

    assert (reply.status, reply.reason, reply.json()["id"]) == (401, Reason.REVOKED, 7)


async def test_the_calls_of_others_go_on(door: Door, issuer: Issuer) -> None:
    handler = Handler(door)
    handler.revoke = lambda door: revoke(door, "user", "bob")
    handler.go_on.set()

    assert (await door.ask(issuer.token())).body == b"what was done"
    assert door.revocations._watches == {}  # nobody watches over a call that has ended


@pytest.mark.usefixtures("no_last_words")
async def test_a_stream_of_events_ends_with_one_that_says_why(door: Door, issuer: Issuer) -> None:
    Handler(door, first=b"event: started\r\ndata: {}\r\n\r\n", header=EVENTS)

    reply = await door.ask(issuer.token())

    *_, last = reply.messages
    assert last["more_body"] is False
    event, data = last["body"].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert event == "event: error"
    trace_id = door.records[-1]["trace_id"]
    told = {"error": "invalid_token", "reason": "revoked", "trace_id": trace_id, "begun": True}
    assert orjson.loads(data.removeprefix("data: ")) == told
    assert reply.body.startswith(b"event: started")
    assert b"what was done" not in reply.body
    assert reasons(door) == [Reason.GRANTED, Reason.REVOKED]


async def test_a_stream_of_events_that_outlives_its_token_ends_the_same_way(door: Door, issuer: Issuer) -> None:
    handler = Handler(door, first=b"event: started\r\ndata: {}\r\n\r\n", header=EVENTS)
    handler.revoke = lambda _door: None
    door.clock.now = NOW + 59.95

    reply = await door.ask(issuer.token())

    assert b'event: error\r\ndata: {"error":"invalid_token","reason":"expired"' in reply.messages[-1]["body"]
    assert reasons(door) == [Reason.GRANTED, Reason.EXPIRED]


@pytest.mark.parametrize("header", [TEXT, (b"content-type", b"application/json"), (b"x-type", b"text/event-stream")])
@pytest.mark.usefixtures("no_last_words")
async def test_an_ordinary_answer_that_has_begun_gets_no_end(
    door: Door, issuer: Issuer, header: tuple[bytes, bytes]
) -> None:
    Handler(door, first=b"half of it", header=header)

    reply = await door.ask(issuer.token())

    assert [m.get("body") for m in reply.messages] == [None, b"half of it"]
    assert reply.messages[-1]["more_body"] is True  # so the server closes, and nobody takes half for the whole
    assert reasons(door) == [Reason.GRANTED, Reason.REVOKED]


@pytest.mark.usefixtures("no_last_words")
@pytest.mark.parametrize(
    ("bodies", "left"), [((), b"event: error\r\n"), ((b"data: all\r\n\r\n", b""), b"data: all\r\n\r\n")]
)
async def test_an_event_that_says_why_ends_an_answer_whose_head_alone_was_sent_and_none_that_was_whole(
    door: Door, issuer: Issuer, bodies: tuple[bytes, ...], left: bytes
) -> None:
    async def lingers(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [EVENTS]})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": body != b""})
        revoke(door)
        await asyncio.Event().wait()

    door.handler = lingers
    reply = await door.ask(issuer.token())

    assert reply.status == 200
    assert reply.body.startswith(left)
    assert not bodies or (reply.body, len(reply.messages)) == (left, 3)


async def test_a_revocation_that_comes_while_a_call_is_being_ended_harms_nobody(door: Door, issuer: Issuer) -> None:
    """Or it would end the stream from the registry, and with it everything."""
    ending = asyncio.Event()

    async def takes_its_time(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(0.05)

    door.handler = takes_its_time
    door.clock.now = NOW + 59.95
    asked = asyncio.create_task(door.ask(issuer.token()))
    await ending.wait()
    revoke(door)

    assert (await asked).reason == Reason.EXPIRED
    assert (await door.ask(issuer.token(), peer=workload("agent/reader"))).status == 401


async def test_what_the_revoked_were_answered_before_is_not_answered_again(tool_door: Door, issuer: Issuer) -> None:
    token = for_the_tool(issuer)
    headers = [(b"mcp-protocol-version", ERA)]
    first = await tool_door.call(token, tool_call("create"), headers=headers)
    revoke(tool_door, "token", "ancestor-0")
    second = await tool_door.call(token, tool_call("create"), headers=headers)
    tool_door.revocations.change(2, ("token", "ancestor-0"), None)
    third = await tool_door.call(token, tool_call("create"), headers=headers)

    assert [first.status, second.status, third.status] == [200, 401, 200]
