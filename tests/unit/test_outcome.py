"""What the gate says of a call that it let in, once it has ended."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.ca import workload
from tests.support.door import Door
from tests.support.issuer import Issuer
from zerotrust.decision import Reason
from zerotrust.routes import MutualTLS, Public, Routes

READER = "agent/reader"
START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture
def issuer(still_issuer: Issuer) -> Issuer:
    return still_issuer


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


async def test_nobody_waits_for_it_and_it_costs_no_commit_of_its_own_and_is_on_the_disk_when_the_service_ends(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[None] = []
    sync = os.fdatasync
    monkeypatch.setattr("zerotrust.audit.segments.os.fdatasync", lambda fd: syncs.append(sync(fd)))
    monkeypatch.setattr("zerotrust.audit.journal.RIDE_WITHIN", 3600)

    for _ in range(3):
        assert (await door.ask(issuer.token())).status == 200
    assert len(syncs) == 3
    door.close()

    assert len(syncs) == 4
    assert (door.folder / "journal.jsonl").read_bytes().count(b'"type":"outcome"') == 3


async def test_a_call_that_was_not_let_in_has_none(door: Door, issuer: Issuer) -> None:
    await door.ask()
    await door.ask("garbage")
    await door.ask(issuer.token(groups=[]))
    await door.ask(method="GET", path="/health")

    assert await outcomes(door) == []


HALF = {"type": "http.response.body", "body": b"half", "more_body": True}


@pytest.mark.parametrize(
    ("sends", "mistake", "ended", "status"),
    [
        pytest.param([], True, "failed", 500, id="a mistake of ours"),
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


@pytest.mark.parametrize("begun", [False, True])
async def test_a_call_whose_caller_was_revoked_was_cut_off(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    monkeypatch.setattr("zerotrust.call_lifetime.REVOCATION_GRACE", 0.0)

    async def handler(_scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send(START)
        door.revocations.change(1, ("user", "alice"), "a theft")
        while True:
            await receive()
            await asyncio.Event().wait()

    door.handler = handler
    reply = await door.ask(issuer.token())

    [outcome] = await outcomes(door)
    assert outcome["ended"] == "cut_off"
    assert outcome["status"] == reply.status == (200 if begun else 401)
    assert [record["reason"] for record in door.requests] == [Reason.GRANTED, Reason.REVOKED]


async def test_a_call_by_certificate_has_one_and_is_on_record_though_nobody_waits_for_it(
    tmp_path: Path, issuer: Issuer
) -> None:
    routes: Routes = {("POST", "/report"): MutualTLS({READER}), ("GET", "/health"): Public()}
    door = Door(tmp_path, issuer, routes=routes)

    assert (await door.ask(None, "POST", "/report", peer=workload(READER), body=b"{}")).status == 200
    await door.ask(None, "GET", "/health", peer=workload(READER))

    [request, outcome] = [r for r in await door.everything() if r["event"] != "counts"]
    reader = issuer.registry.id(READER)
    assert (request["peer"], request["operation"], request["reason"]) == (reader, "POST /report", "granted")
    assert "subject" not in request
    assert (outcome["ended"], outcome["status"], outcome["request_sha256"]) == ("complete", 200, sha256(b"{}"))
    assert outcome["span_id"] == request["span_id"]
    door.close()
