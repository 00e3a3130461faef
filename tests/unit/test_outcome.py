"""What the gate says of a call that it let in, once it has ended."""

import hashlib
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.door import Door
from tests.support.issuer import Issuer

START = {"type": "http.response.start", "status": 200, "headers": []}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def outcomes(door: Door) -> list[dict[str, Any]]:
    return [record for record in await door.everything() if record["event"] == "outcome"]


async def test_it_has_the_status_and_the_digests_of_request_and_answer_as_they_were_sent(
    door: Door, issuer: Issuer
) -> None:
    async def handler(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START | {"status": 201})
        for part in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": part == b"one "})

    door.handler = handler

    await door.ask(issuer.token(), body=[b'{"hello"', b": 1}"])

    [request, outcome] = await door.everything()
    assert (request["event"], outcome["event"]) == ("request", "outcome")
    assert outcome["ended"] == "complete"
    assert outcome["status"] == 201
    assert outcome["request_sha256"] == sha256(b'{"hello": 1}')
    assert outcome["answer_sha256"] == sha256(b"one two")
    assert (outcome["trace_id"], outcome["span_id"]) == (request["trace_id"], request["span_id"])


async def test_it_lasted_as_long_as_the_clock_says_that_never_goes_back(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [5_000_000_000]
    monkeypatch.setattr("zerotrust.call.time.monotonic_ns", lambda: now[0])

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        now[0] += 1_234_567_890
        await Door.echo(scope, receive, send)

    door.handler = handler
    await door.ask(issuer.token())

    assert [outcome["duration"] for outcome in await outcomes(door)] == [1_234_567]


HALF = {"type": "http.response.body", "body": b"half", "more_body": True}


@pytest.mark.parametrize(
    ("sends", "mistake", "ended", "status"),
    [
        pytest.param([], True, "failed", 500, id="a mistake of ours"),
        pytest.param([START, HALF], True, "failed", 200, id="half an answer and a mistake"),
        pytest.param([], False, "cut_off", None, id="no answer"),
        pytest.param([START], False, "cut_off", 200, id="a head"),
        pytest.param([START, HALF], False, "cut_off", 200, id="half an answer"),
    ],
)
async def test_a_call_without_a_whole_answer_has_failed_or_was_cut_off(
    door: Door, issuer: Issuer, sends: list[Any], ended: str, status: int | None, *, mistake: bool
) -> None:
    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in sends:
            await send(message)
        if mistake:
            raise RuntimeError

    door.handler = handler
    reply = await door.ask(issuer.token())

    [outcome] = await outcomes(door)
    assert (outcome["ended"], outcome["status"]) == (ended, status)
    assert outcome["answer_sha256"] == sha256(reply.body)
