"""The gate, and callers that are revoked: what becomes of a call that is under way."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.ca import workload
from tests.support.door import NOW, Door
from tests.support.issuer import Issuer
from zerotrust.decision import Reason
from zerotrust.receipts.calls import Calls

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
TEXT = (b"content-type", b"text/plain")


def revoke(door: Door, kind: Any = "user", name: str = "alice") -> None:
    door.revocations.change((door.revocations.number or 0) + 1, (kind, name), "a theft")


# revoked while it comes in


@pytest.mark.parametrize(
    ("meanwhile", "status", "reason"),
    [(revoke, 401, Reason.REVOKED), (lambda door: door.revocations.forget(), 503, Reason.REVOCATION_UNKNOWN)],
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
    monkeypatch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 0.0)


def reasons(door: Door) -> list[str]:
    return [record["reason"] for record in door.records]


async def test_one_that_hangs_is_refused_and_ended_once_the_moment_is_over(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.lifetime.REVOCATION_GRACE", 0.05)
    handler = Handler(door)

    reply = await door.ask(issuer.token())

    assert (reply.status, reply.reason) == (401, Reason.REVOKED)
    assert orjson.loads(reply.body)["begun"] is True
    assert handler.ended
    assert reasons(door) == [Reason.GRANTED, Reason.REVOKED]
    assert door.records[-1]["detail"] == "user alice: a theft"


@pytest.mark.usefixtures("no_last_words")
async def test_a_stream_of_events_ends_with_one_that_says_why(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And which has a place for receipts, because the headers are gone."""
    monkeypatch.setattr("zerotrust.transport.responses.current_calls", Calls)
    Handler(door, first=b"event: started\r\ndata: {}\r\n\r\n", header=EVENTS)

    reply = await door.ask(issuer.token())

    *_, last = reply.messages
    assert last["more_body"] is False
    event, data = last["body"].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert event == "event: error"
    trace_id = door.records[-1]["trace_id"]
    told = {"error": "invalid_token", "reason": "revoked", "trace_id": trace_id, "begun": True, "receipts": ""}
    assert orjson.loads(data.removeprefix("data: ")) == told
    assert reply.body.startswith(b"event: started")
    assert b"what was done" not in reply.body
    assert reasons(door) == [Reason.GRANTED, Reason.REVOKED]


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
