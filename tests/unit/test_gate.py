"""The gate: real verification, policy and journal, in front of a handler that must not run too early, or at all."""

import asyncio
import gc
import logging
import re
import threading
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Send
from starlette.types import Scope as HttpScope

from tests.support.ca import workload
from tests.support.door import NOW, Door, Reply, for_the_tool, tool_call
from tests.support.issuer import Issuer
from tests.support.pdp import engine
from tests.support.waiting import until
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.call import Call
from zerotrust.context import REQUEST, Span, current_principal
from zerotrust.decision import Denied, PolicyEngine, Reason
from zerotrust.dialect import PLAIN
from zerotrust.hardening.in_flight import OF_A_PARTY, OF_A_USER
from zerotrust.lifetime import run_in_background
from zerotrust.routes import MAX_BODY, MAX_MESSAGE, MAX_PUBLIC_BODY, MAX_TEXT, MutualTLS, Public, Routes, Scope
from zerotrust.sealing import Notary
from zerotrust.tool.mcp_tools import ERA
from zerotrust.transport.responses import DeniedResponse
from zt.audit.journals import events

TRACE = "0123456789abcdef0123456789abcdef"
PARENT = "0123456789abcdef"
TRACEPARENT = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())
ERA_HEADER = (b"mcp-protocol-version", ERA)


@pytest.fixture(params=["in process", "elsewhere"])
def policy(request: pytest.FixtureRequest, issuer: Issuer) -> PolicyEngine | None:
    """Who decides: the policies in process, or a decision point that is asked for each decision."""
    return engine(issuer.registry) if request.param == "elsewhere" else None


@pytest.fixture
def door(tmp_path: Path, issuer: Issuer, policy: PolicyEngine | None) -> Iterator[Door]:
    """The orchestrator's door."""
    door = Door(tmp_path, issuer, policy=policy)
    yield door
    door.close()


@pytest.fixture
def tool_door(tmp_path: Path, issuer: Issuer, policy: PolicyEngine | None) -> Iterator[Door]:
    """The documents tool's door."""
    door = Door(tmp_path, issuer, party="tool/documents", metadata_url="http://tool.test/metadata", policy=policy)
    yield door
    door.close()


# what is let in


async def test_a_good_token_is_let_in_and_recorded_whole(door: Door, issuer: Issuer) -> None:
    reply = await door.ask(issuer.token(jti="token-1"), body=b'{"hello": 1}')

    assert (reply.status, reply.body) == (200, b'{"hello": 1}')
    assert door.handled == ["POST /tasks"]
    [record] = door.records
    started = NOW * MICROSECONDS
    assert record | {"trace_id": "", "span_id": "", "policy": ""} == {
        "schema": 1,
        "time": started,
        "service": "spiffe://agents.example/orchestrator",
        "measurement": None,
        "event": "request",
        "type": "request",
        "trace_id": "",
        "span_id": "",
        "parent_id": None,
        "caller_trace_id": None,
        "peer": None,  # a user's own client has no certificate
        "operation": "POST /tasks",
        "permission": "task.run",
        "allowed": True,
        "reason": "granted",
        "detail": "",
        "policy": "",
        "subject": "alice",
        "party": "walkthrough",
        "actors": [],
        "audience": "spiffe://agents.example/orchestrator",
        "scopes": ["agent.invoke", "inference.run", "llama.chat", "task.run", "tool.read", "tool.write"],
        "groups": ["/engineering"],
        "token_id": "token-1",
        "lineage": [],
        "transaction": "token-1",
        "session": "session-1",
        "client": "walkthrough",
        "chain_started_at": started,
        "issued_at": started,
        "expires_at": started + 60 * MICROSECONDS,
    }
    assert len(record["policy"]) == 12
    [event] = [one.data for one in events(door.folder / "journal.jsonl") if isinstance(one.data, Request)]
    assert event.decision.policy
    assert event.decision.policy.rules == ("use-an-api",)


async def test_a_public_route_needs_no_token_and_looks_at_none(door: Door) -> None:
    assert (await door.ask(method="GET", path="/health")).status == 200
    assert (await door.ask("garbage", method="GET", path="/health", peer=workload("agent/reader"))).status == 200
    assert door.handled == ["GET /health"] * 2
    who = "192.0.2.1", "spiffe://agents.example/agent/reader"
    assert {(seen["origin"], seen["reason"]) for seen in await door.counted(2)} == {(one, "public") for one in who}


async def test_websockets_are_refused(door: Door, issuer: Issuer) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {issuer.token()}".encode())]
    await door.gate({"type": "websocket", "path": "/tasks", "headers": headers}, _nothing, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert door.handled == []


# the body, the same for every route


async def test_a_length_that_is_no_number_is_refused_and_no_body_is_read(door: Door, issuer: Issuer) -> None:
    reply = await door.ask(issuer.token(), headers=[(b"content-length", b"9" * 5000)], receive=_nothing)

    assert reply.reason == Reason.MALFORMED_BODY
    assert door.handled == []


@pytest.mark.parametrize("most", [MAX_BODY, MAX_TEXT, MAX_MESSAGE])
async def test_a_route_says_how_large_a_body_it_takes(tmp_path: Path, issuer: Issuer, most: int) -> None:
    route = Scope("task.run") if most == MAX_BODY else Scope("task.run", max_body=most)
    door = Door(tmp_path, issuer, routes={("POST", "/tasks"): route})

    assert (await door.ask(issuer.token(), body=b"{}".ljust(most))).status == 200
    assert (await door.ask(issuer.token(), body=b"{}".ljust(most + 1))).reason == Reason.BODY_TOO_LARGE
    door.close()


async def test_what_no_step_checks_admits_nobody(door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "credential", "cookie")

    assert (await door.ask(issuer.token())).reason == Reason.FAILED
    assert door.handled == []


async def test_a_stranger_sends_no_long_and_no_slow_body_to_a_public_door_either(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerotrust.transport.requests.MAX_BODY_SECONDS", 0.05)

    assert (await door.ask(method="GET", path="/health", body=b"x" * MAX_PUBLIC_BODY)).status == 200
    large = await door.ask(method="GET", path="/health", body=b"x" * (MAX_PUBLIC_BODY + 1))
    slow = await door.ask(method="GET", path="/health", receive=_late)

    assert (large.status, large.reason) == (413, Reason.BODY_TOO_LARGE)
    assert (slow.status, slow.reason) == (408, Reason.BODY_TOO_SLOW)
    assert len(door.handled) == 1


async def _late() -> Message:
    await asyncio.sleep(5)
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_caller_that_leaves_in_the_middle_of_its_body_is_refused(door: Door, issuer: Issuer) -> None:
    heard: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": True}, {"type": "http.disconnect"}]

    async def leave() -> Message:
        return heard.pop(0)

    await door.ask(issuer.token(), receive=leave)

    assert door.handled == []
    assert [r["reason"] for r in door.records] == [Reason.MALFORMED_BODY]


async def test_a_token_that_ends_while_the_body_comes_in_opens_nothing(door: Door, issuer: Issuer) -> None:
    async def late() -> Message:
        door.clock.now = NOW + 60
        return {"type": "http.request", "body": b"{}", "more_body": False}

    reply = await door.ask(issuer.token(), receive=late)

    assert (reply.status, reply.reason) == (401, Reason.EXPIRED)
    assert door.handled == []


# MCP: the body says what is needed


async def test_the_body_is_handed_on_byte_for_byte_and_then_the_real_stream(tool_door: Door, issuer: Issuer) -> None:
    heard: list[Message] = []

    async def listen(scope: HttpScope, receive: Receive, send: Send) -> None:
        heard.extend([await receive(), await receive()])
        await send(HEAD)
        await send({"type": "http.response.body"})

    tool_door.handler = listen
    raw = b' {"id" :1,\n"method": "tools/list", "x": "\\u00e9\xc3\xa9", "y": 1.50e0 }\n'

    await tool_door.call(for_the_tool(issuer), [raw[:10], b"", raw[10:11], raw[11:]])

    assert heard == [
        {"type": "http.request", "body": raw, "more_body": False},
        {"type": "http.disconnect"},  # so a handler notices when its caller leaves
    ]


async def test_a_refused_call_leaves_no_body_for_the_garbage_collector(tool_door: Door, issuer: Issuer) -> None:
    """Otherwise a caller fills the memory: a refusal gives its place among the calls under way back at once."""
    body, calls = orjson.dumps(tool_call("create", text="x" * (MAX_MESSAGE // 2))), 10
    ask = partial(tool_door.ask, for_the_tool(issuer), path="/mcp", headers=[ERA_HEADER])
    await ask(body=body)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        replies = [await ask(body=bytes(bytearray(body))) for _ in range(calls)]
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    assert {reply.status for reply in replies} == {403}
    assert left < calls * len(body) / 4


def test_a_receipt_names_the_policies_that_decided_or_else_those_in_force(door: Door) -> None:
    gate, decided, undecided = door.gate, SimpleNamespace(policy="decided"), SimpleNamespace(policy="")
    assert gate._sign(cast("Call", decided)) is None  # this party signs none
    gate.notary = cast("Notary", SimpleNamespace(sign=lambda _, **given: given["policy"]))

    assert gate._sign(cast("Call", decided)) == "decided"
    assert gate._sign(cast("Call", undecided)) == gate.policy.version


def test_a_path_that_only_begins_like_a_protocols_has_not_its_errors(tool_door: Door) -> None:
    assert [tool_door.gate._dialect(path) is PLAIN for path in ("/mcp", "/mcp-other")] == [False, True]


BODIES = [(b"{", -32700), (b"[]", -32600), (b"7", -32600), (b"null", -32600), (b"{}", -32600), (b"", -32600)]
"""What is JSON, and no request, is no parse error (JSON-RPC 2.0 section 5.1)."""


@pytest.mark.parametrize(("body", "code"), BODIES)
async def test_a_body_that_is_no_request_has_the_code_of_json_rpc(
    tool_door: Door, issuer: Issuer, body: bytes, code: int
) -> None:
    reply = await tool_door.call(for_the_tool(issuer), body)

    assert (reply.status, reply.reason, reply.json()["error"]["code"]) == (400, Reason.MALFORMED_BODY, code)


@pytest.mark.parametrize(
    ("presented", "error"),
    [
        ([], ""),
        ([(b"authorization", b"Bearer TOKEN")], ""),
        ([(b"authorization", b"DPoP TOKEN")], ""),
        ([(b"authorization", b"DPoP TOKEN"), (b"dpop", b"a.b.c")], ', error="invalid_dpop_proof"'),
    ],
)
async def test_a_caller_without_a_certificate_is_told_to_prove_its_key(
    door: Door, issuer: Issuer, presented: list[tuple[bytes, bytes]], error: str
) -> None:
    token = issuer.token().encode()
    given = [(name, value.replace(b"TOKEN", token)) for name, value in presented]

    reply = await door.ask(headers=given)

    challenge = reply.headers["www-authenticate"].replace(', scope="task.run"', "")
    assert (reply.status, challenge) == (401, f'DPoP realm="zero-trust", algs="ES256 EdDSA Ed25519"{error}')
    assert ("advice" in reply.json()) is (reply.reason == Reason.UNSUPPORTED_SCHEME)


async def test_a_refusal_on_mcp_is_json_rpc_with_the_scope_that_would_help(tool_door: Door, issuer: Issuer) -> None:
    reply = await tool_door.call(for_the_tool(issuer), tool_call("replace", "request-7"))

    assert reply.status == 403
    assert reply.headers["www-authenticate"] == (
        'Bearer realm="zero-trust", error="insufficient_scope", scope="tool.write",'
        ' resource_metadata="http://tool.test/metadata"'
    )
    [record] = tool_door.records
    error = {"error": "insufficient_scope", "reason": "scope_missing", "scope": "tool.write"}
    assert reply.json() == {
        "jsonrpc": "2.0",
        "id": "request-7",
        "error": {"code": -32011, "message": "insufficient_scope", "data": error | {"trace_id": record["trace_id"]}},
    }


# trace ids


def keeping_spans(door: Door) -> list[Span]:
    """The spans that the door's handler sees from now on."""
    spans: list[Span] = []

    async def handler(scope: HttpScope, receive: Receive, send: Send) -> None:
        spans.append(REQUEST.get().span)
        await Door.echo(scope, receive, send)

    door.handler = handler
    return spans


async def test_the_handler_of_a_stranger_knows_the_trace_of_its_request(door: Door) -> None:
    spans = keeping_spans(door)
    await door.ask(method="GET", path="/health")

    assert len(spans[0].trace_id) == 32


async def test_a_stranger_is_unauthorized_and_gets_a_trace_id_of_ours(door: Door) -> None:
    told = (await door.ask(headers=[TRACEPARENT])).json()

    assert told["error"] == "unauthorized"
    assert told["trace_id"] != TRACE


async def test_the_front_door_makes_a_trace_id_and_keeps_the_callers_beside_it(door: Door, issuer: Issuer) -> None:
    token = issuer.token()
    for _ in range(2):
        await door.ask(token, headers=[TRACEPARENT])

    first, second = door.records
    assert first["caller_trace_id"] == second["caller_trace_id"] == TRACE
    assert len({first["trace_id"], second["trace_id"], TRACE}) == 3


async def test_the_front_door_continues_the_trace_of_a_party_that_sends_a_persons_own_token(
    door: Door, issuer: Issuer
) -> None:
    console = issuer.registry.id("console")
    token = issuer.token(azp=console, client_id=console, zt_cnf=None)
    assert (await door.ask(token, headers=[TRACEPARENT])).status == 200

    [record] = door.records
    assert (record["trace_id"], record["parent_id"], record["caller_trace_id"]) == (TRACE, PARENT, None)


async def test_the_trace_of_a_delegated_caller_is_continued_and_each_request_is_a_span_of_its_own_below_it(
    tool_door: Door, issuer: Issuer
) -> None:
    spans = keeping_spans(tool_door)
    for _ in range(2):
        await tool_door.call(for_the_tool(issuer), tool_call(), headers=[ERA_HEADER, TRACEPARENT])

    below = tool_door.records
    for record in below:
        assert (record["trace_id"], record["parent_id"], record["caller_trace_id"]) == (TRACE, PARENT, None)
    assert len({PARENT, *(record["span_id"] for record in below)}) == 3
    assert re.fullmatch("[0-9a-f]{16}", below[0]["span_id"])
    assert [span.trace_id for span in spans] == [TRACE, TRACE]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([TRACEPARENT[1], TRACEPARENT[1]], id="two"),
        pytest.param([TRACEPARENT[1].upper()], id="upper case"),
        pytest.param([TRACEPARENT[1] + b"-more"], id="longer"),
        pytest.param([b"ff" + TRACEPARENT[1][2:]], id="the version that is none"),
        pytest.param([b"01" + TRACEPARENT[1][2:] + b"x"], id="a later version, no field more"),
        pytest.param([b"00-" + b"0" * 32 + b"-0123456789abcdef-01"], id="no trace id"),
        pytest.param([f"00-{TRACE}-{'0' * 16}-01".encode()], id="no parent id"),
        pytest.param([b'"}{'], id="garbage"),
    ],
)
async def test_a_trace_that_is_none_is_ignored(tool_door: Door, issuer: Issuer, values: list[bytes]) -> None:
    headers = [ERA_HEADER, *((b"traceparent", value) for value in values)]
    assert (await tool_door.call(for_the_tool(issuer), tool_call(), headers=headers)).status == 200

    [record] = tool_door.records
    assert record["trace_id"] not in {TRACE, "0" * 32}
    assert len(record["trace_id"]) == 32
    assert (record["caller_trace_id"], record["parent_id"]) == (None, None)


# the handler's time


HEAD = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"{}"}
FAILS = ValueError("what nobody outside should read")


@pytest.mark.parametrize(
    ("sends", "then", "status", "recorded"),
    [
        pytest.param([], None, 401, Reason.EXPIRED, id="no answer when the token ends"),
        pytest.param([HEAD], None, 200, Reason.EXPIRED, id="a head, which an end would make look whole"),
        pytest.param([HEAD, BODY], None, 200, Reason.EXPIRED, id="a whole answer, to which nothing is added"),
        pytest.param([], TimeoutError("of its own"), 500, Reason.FAILED, id="a timeout that is not the token's end"),
        pytest.param([], FAILS, 500, Reason.FAILED, id="a mistake"),
        pytest.param([HEAD], FAILS, 200, Reason.FAILED, id="a mistake in the middle, after which the server closes"),
    ],
)
async def test_an_answer_that_does_not_end_by_itself_is_ended_and_never_made_whole(
    door: Door,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    sends: list[Message],
    then: Exception | None,
    status: int,
    recorded: Reason,
) -> None:
    ended: list[bool] = []

    async def handler(scope: HttpScope, receive: Receive, send: Send) -> None:
        try:
            for message in sends:
                await send(message)
            if then:
                raise then
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    door.handler = handler
    door.clock.now = NOW if then else NOW + 59.95
    reply = await door.ask(issuer.token())

    assert (reply.status, ended) == (status, [True])
    assert [record["reason"] for record in door.records] == [Reason.GRANTED, recorded]
    if sends:
        assert [message["type"] for message in reply.messages] == [message["type"] for message in sends]
    else:
        told = {"error": "server_error"} if then else {"error": "invalid_token", "begun": True}
        assert reply.json() == told | {"reason": recorded, "trace_id": door.records[-1]["trace_id"]}
    assert len(caplog.records) == (then is not None)  # once, and with what the caller does not hear
    assert str(then or "") in caplog.text


async def test_a_handler_that_goes_on_after_it_was_cut_off_sends_nothing_more_and_is_on_record_as_cut_off(
    door: Door, issuer: Issuer
) -> None:
    sent: list[Message] = []

    async def handler(scope: HttpScope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        sent.append(HEAD)
        with suppress(TimeoutError):
            await send({"type": "http.response.body", "body": b"late"})

    door.handler = handler
    door.clock.now = NOW + 59.95
    reply = await door.ask(issuer.token())

    assert [message["type"] for message in reply.messages] == [HEAD["type"]]
    assert sent
    assert [record["reason"] for record in door.records] == [Reason.GRANTED, Reason.EXPIRED]


async def test_a_call_that_is_cut_off_has_no_caller_any_more_while_the_refusal_is_sent(
    door: Door, issuer: Issuer
) -> None:
    seen: list[object] = []

    async def handler(_scope: HttpScope, _receive: Receive, _send: Send) -> None:
        seen.append(current_principal().subject)
        await asyncio.Event().wait()

    async def on_sent(_message: Message) -> None:
        with pytest.raises(Denied, match="call_ended"):
            current_principal()
        with pytest.raises(Denied, match="call_ended"):
            await run_in_background("late", asyncio.Event().wait)
        seen.append("refused")

    door.handler = handler
    door.clock.now = NOW + 59.95
    await door.ask(issuer.token(), on_sent=on_sent)

    assert seen == ["alice", "refused", "refused"]


@pytest.mark.parametrize(
    ("now", "raised", "told"),
    [(NOW, None, "complete"), (NOW, FAILS, "failed"), (NOW + 59.95, None, "expired: while it was being used")],
)
async def test_work_in_the_background_keeps_its_caller_and_ends_with_the_token_and_the_log_says_how(
    door: Door, issuer: Issuer, caplog: pytest.LogCaptureFixture, now: float, raised: Exception | None, told: str
) -> None:
    caplog.set_level(logging.INFO)
    answered, whose, tasks = asyncio.Event(), list[str](), list[asyncio.Task[None]]()

    async def work() -> None:
        await answered.wait()
        whose.append(current_principal().subject)
        if raised:
            raise raised
        if now > NOW:
            await asyncio.Event().wait()

    async def handler(_scope: HttpScope, _receive: Receive, send: Send) -> None:
        tasks.append(await run_in_background("report", work))
        for message in HEAD, BODY:
            await send(message)

    door.handler, door.clock.now = handler, now
    assert (await door.ask(issuer.token())).status == 200
    held = dict(door.gate.of_users._held)
    answered.set()
    await tasks[0]

    assert whose == ["alice"]
    assert caplog.messages[-1] == f"in the background: report: {told}"
    assert (sum(held.values()), door.gate.of_users._held) == (1, {})


async def test_work_that_is_refused_for_all_takes_nothing_of_its_users_share(
    door: Door, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(_scope: HttpScope, _receive: Receive, send: Send) -> None:
        monkeypatch.setattr("zerotrust.checks.OF_A_PARTY", 1)
        with pytest.raises(Denied, match="busy"):
            await run_in_background("report", asyncio.Event().wait)
        for message in HEAD, BODY:
            await send(message)

    door.handler = handler
    assert (await door.ask(issuer.token())).status == 200
    assert not door.gate.of_users._held


async def test_a_thread_that_is_cut_off_goes_on_without_a_caller_and_counts_as_under_way_until_its_end(
    tmp_path: Path, issuer: Issuer
) -> None:
    go_on, found = threading.Event(), list[str]()

    def blocking() -> None:
        found.append(current_principal().subject)
        go_on.wait(60)
        try:
            current_principal()
        except Denied as refusal:
            found.append(refusal.reason)

    async def handler(_scope: HttpScope, _receive: Receive, send: Send) -> None:
        await run_in_threadpool(blocking)
        await send(HEAD)

    door = Door(tmp_path, issuer, routes={("POST", "/tasks"): Scope("task.run", thread=True)}, handler=handler)
    door.clock.now = NOW + 59.95
    reply = await door.ask(issuer.token())
    held = dict(door.gate.of_users._held)
    go_on.set()
    await until(lambda: not door.gate.of_users._held)

    assert (reply.reason, [*held.values()]) == (Reason.EXPIRED, [1])
    assert found == ["alice", Reason.CALL_ENDED]
    door.close()


async def test_work_needs_a_caller(door: Door) -> None:
    async def handler(_scope: HttpScope, _receive: Receive, _send: Send) -> None:
        await run_in_background("report", asyncio.Event().wait)

    door.handler = handler
    assert (await door.ask(method="GET", path="/health")).reason == Reason.FAILED


# shares


class Waiting:
    """A handler whose requests wait until they may go on."""

    def __init__(self) -> None:
        self.inside, self.go_on = 0, asyncio.Event()

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.go_on.wait()
        await Door.echo(scope, receive, send)

    async def until(self, inside: int) -> None:
        """Wait until so many are there."""
        async with asyncio.timeout(120):
            while self.inside < inside:
                await asyncio.sleep(0.002)


Asking = Callable[[Door, Issuer, int], Coroutine[Any, Any, Reply]]
"""Sends a request, which may depend on how many of its kind came before."""


async def for_alice(door: Door, issuer: Issuer, _number: int) -> Reply:
    return await door.call(for_the_tool(issuer), tool_call())


async def for_many(door: Door, issuer: Issuer, number: int) -> Reply:
    return await door.call(for_the_tool(issuer, sub=f"user-{number}"), tool_call())


async def by_another(door: Door, issuer: Issuer, _number: int) -> Reply:
    """The writer asks for the user of all who ask."""
    audience = issuer.registry.id("tool/documents")
    token = issuer.delegated("orchestrator", "agent/writer", aud=audience, scope="tool.write")
    return await door.call(token, tool_call("create"))


def by_certificate(party: str) -> Asking:
    return lambda door, *_: door.ask(method="GET", path="/feed", peer=workload(party))


READER, WRITER = by_certificate("agent/reader"), by_certificate("agent/writer")
BY_CERTIFICATE: Routes = {("GET", "/feed"): MutualTLS(any_workload=True)}


@pytest.mark.parametrize(
    ("routes", "one", "share", "reason", "another"),
    [
        pytest.param(None, for_alice, OF_A_USER, Reason.TOO_MANY_REQUESTS, by_another, id="for one user"),
        pytest.param(None, for_many, OF_A_PARTY, Reason.BUSY, by_another, id="for many users"),
        pytest.param(BY_CERTIFICATE, READER, OF_A_PARTY, Reason.BUSY, WRITER, id="for itself"),
    ],
)
async def test_what_one_party_sends_takes_nothing_from_what_another_sends(
    tmp_path: Path, issuer: Issuer, routes: Routes | None, one: Asking, share: int, reason: Reason, another: Asking
) -> None:
    """A user's share is larger where parties call: each task has several calls."""
    door = Door(tmp_path, issuer, party="tool/documents", routes=routes)
    door.handler = waiting = Waiting()
    calls = [asyncio.create_task(one(door, issuer, number)) for number in range(share)]
    await waiting.until(share)

    refused = await asyncio.wait_for(one(door, issuer, share), 30)  # it waits where nobody refuses it
    calls.append(asyncio.create_task(another(door, issuer, share)))
    await waiting.until(share + 1)

    assert (refused.status, refused.reason, refused.headers["retry-after"]) == (reason.status, reason, "1")
    waiting.go_on.set()
    assert {reply.status for reply in await asyncio.gather(*calls)} == {200}
    assert (await one(door, issuer, share)).status == 200
    door.close()


async def test_people_have_a_share_all_together(door: Door, issuer: Issuer) -> None:
    door.handler = waiting = Waiting()
    users = [issuer.token(sub=f"user-{number}") for number in range(OF_A_PARTY)]
    calls = [asyncio.create_task(door.ask(token)) for token in users]
    await waiting.until(OF_A_PARTY)

    assert (await door.ask(issuer.token(sub="one-more"))).reason == Reason.BUSY
    assert (await door.ask(method="GET", path="/plan")).status == 401  # others are told what they would be told
    waiting.go_on.set()
    assert {reply.status for reply in await asyncio.gather(*calls)} == {200}


async def _nothing() -> Message:
    raise AssertionError("nothing is to be read")


# what else a request gets on its way


async def busy(scope: HttpScope, receive: Receive, send: Send) -> None:
    """A handler that refuses."""
    await DeniedResponse(Denied(Reason.BUSY))(scope, receive, send)


async def test_a_handler_refuses_in_the_form_of_its_route(tmp_path: Path, tool_door: Door, issuer: Issuer) -> None:
    public = Door(tmp_path / "public", issuer, routes={("POST", "/mcp"): Public()}, handler=busy)
    tool_door.handler = busy

    assert (await public.ask(path="/mcp")).json()["jsonrpc"] == "2.0"
    assert (await tool_door.call(for_the_tool(issuer), tool_call(request_id=7))).json()["id"] == 7
    public.close()


async def test_the_server_is_told_whose_a_connection_is_and_not_where_it_is_a_partys(
    tmp_path: Path, tool_door: Door, issuer: Issuer
) -> None:
    front = Door(tmp_path / "front", issuer)

    await front.ask(issuer.token())
    await tool_door.call(for_the_tool(issuer), tool_call())

    assert (front.noted, tool_door.noted) == (["alice"], [])
    front.close()
