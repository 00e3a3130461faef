"""Two faults in one request: the gate answers with the reason of the earlier step, and does nothing of the later ones.

The order of the steps is the list `FAULTS`, from which the expected reason of every pair follows.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from inspect import signature
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from starlette.types import Message, Receive, Send
from starlette.types import Scope as HttpScope

from tests.reference.gate import reasons_in
from tests.support.ca import FOREVER
from tests.support.door import AT_THE_TOOL, NOW, Door, Reply
from tests.support.issuer import Issuer
from tests.support.pdp import engine
from zerotrust import checks
from zerotrust.call import Call
from zerotrust.checks import STEPS, TOKEN, Checks, Step
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import Dialect
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import Peer
from zerotrust.tool.mcp_tools import ERA
from zerotrust.transport.jsonrpc import JSON_RPC

READER, WRITER, TOOL = "agent/reader", "agent/writer", "tool/documents"
MCP = b"mcp-protocol-version"


@dataclass
class Sent:
    """A request of the reader to the tool, which is good until something spoils it."""

    door: Door
    issuer: Issuer
    presenter: str = READER
    certificate_until: float = FOREVER
    with_token: bool = True
    claims: dict[str, Any] = field(default_factory=dict)
    path: str = "/mcp"
    headers: dict[bytes, bytes] = field(default_factory=lambda: {b"content-type": b"application/json", MCP: ERA})
    body: bytes = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read"}})
    read: bool = False
    """Whether the gate has asked for the body."""
    on_disk_when_answered: list[str] | None = None
    """The reasons on record when the answer began."""

    async def send(self) -> Reply:
        registry = self.issuer.registry
        token = self.issuer.delegated(
            "orchestrator", READER, **({"aud": registry.id(TOOL), "scope": "tool.read"} | self.claims)
        )

        async def receive() -> Message:
            self.read = True
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def on_sent(_message: Message) -> None:
            if self.on_disk_when_answered is None:
                self.on_disk_when_answered = [record["reason"] for record in self.door.requests]

        return await self.door.ask(
            token if self.with_token else None,
            path=self.path,
            headers=[*self.headers.items()],
            peer=Peer(registry.id(self.presenter), self.certificate_until),
            receive=receive,
            on_sent=on_sent,
        )


def put(**changed: Any) -> Callable[[Sent], None]:
    """Have these attributes instead."""
    return lambda sent: vars(sent).update(changed)


def suspend_the_party(sent: Sent) -> None:
    sent.door.revocations.change(1, ("party", sent.issuer.registry.id(READER)), "drift")


def fill_the_disk(sent: Sent) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, sent.door.journal._segments._fd)
    os.close(full)


async def no_answer(_caller: Principal, _permission: str) -> None:
    raise Denied(Reason.ISSUER_UNAVAILABLE)


class Fault(NamedTuple):
    """The step that finds what is wrong with a request, the reason, and what spoils the request."""

    step: str
    reason: Reason
    spoil: Callable[[Sent], None]


FAULTS = (
    Fault("path", Reason.MALFORMED_PATH, lambda sent: put(path=f"{sent.path}\n")(sent)),
    Fault("peer", Reason.CERTIFICATE_ENDED, put(certificate_until=NOW)),
    Fault("credentials", Reason.NO_TOKEN, put(with_token=False)),
    Fault("verify", Reason.EXPIRED, lambda sent: sent.claims.update(exp=int(NOW))),
    Fault("bind", Reason.NOT_BOUND, put(presenter=WRITER)),
    Fault("prove", Reason.NO_PROOF, lambda sent: sent.claims.update(cnf={"jkt": "x" * 43})),
    Fault("revoked", Reason.REVOKED, suspend_the_party),
    Fault("listed", Reason.NO_PERMISSION_FOR_ROUTE, lambda sent: put(path=sent.path.replace("mcp", "else"))(sent)),
    Fault("protocol", Reason.UNSUPPORTED_CONTENT, lambda sent: sent.headers.update({b"content-type": b"text/plain"})),
    Fault("decide_early", Reason.SCOPE_MISSING, lambda sent: sent.claims.update(scope="inference.run")),
    Fault("limits", Reason.TOO_MANY_REQUESTS, put()),  # the test has another one under way, which is all that may be
    Fault("body", Reason.BODY_TOO_LARGE, lambda sent: sent.headers.update({b"content-length": b"%d" % (1 << 30)})),
    Fault("body", Reason.MALFORMED_BODY, put(body=b"{")),
    Fault("decide", Reason.LEGACY_ERA, lambda sent: sent.headers.update({MCP: b"2025-11-25"})),
    Fault("decide", Reason.POLICY_DENIED, lambda sent: sent.claims.update(groups=[])),
    Fault("introspect", Reason.ISSUER_UNAVAILABLE, lambda sent: vars(sent.door).update(confirm=no_answer)),
    Fault("record", Reason.JOURNAL_UNAVAILABLE, fill_the_disk),
)
"""In the order of the gate's steps."""
REASONS = [fault.reason for fault in FAULTS]
KNOWN, DECLARED = REASONS.index(Reason.EXPIRED), REASONS.index(Reason.BODY_TOO_LARGE)
"""The last fault that is not recorded, because the caller is not known; the last one for which no body is read."""


def test_each_step_that_refuses_has_a_fault_in_its_order_and_says_for_which_reason() -> None:
    steps = {step.id: step.reasons for step in STEPS if step.routes >= TOKEN and step.reasons & {*Reason}}

    assert list(dict.fromkeys(fault.step for fault in FAULTS)) == list(steps)
    assert [fault for fault in FAULTS if fault.reason not in steps[fault.step]] == []


def test_every_check_is_taken() -> None:
    methods = {name: [*signature(it).parameters] for name, it in vars(Checks).items() if callable(it)}

    assert [name for name in methods if methods[name] == ["self", "call"]] == ["admit", *(step.id for step in STEPS)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_step_says_all_the_reasons_that_its_code_has(step: Step) -> None:
    assert step.reasons == reasons_in(step)


@pytest_asyncio.fixture(params=["in process", "elsewhere"])
async def sent(
    request: pytest.FixtureRequest, tmp_path: Path, still_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sent]:
    """A good request.  The policies decide in process, or a decision point that is asked does."""
    monkeypatch.setattr(checks, "OF_A_USER", 1)
    json_only = Dialect(JSON_RPC.error_body, b"application/json")
    policy = engine(still_issuer.registry) if request.param == "elsewhere" else None
    door = Door(tmp_path, still_issuer, party=TOOL, routes=AT_THE_TOOL, dialects={"/": json_only}, policy=policy)
    yield Sent(door, still_issuer)
    door.close()


async def under_way(sent: Sent) -> asyncio.Task[Reply]:
    """Begin a good request that goes on until it is cancelled, or its caller is revoked."""
    begun = asyncio.Event()

    async def goes_on(_scope: HttpScope, _receive: Receive, _send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    sent.door.handler = goes_on
    other = asyncio.create_task(Sent(sent.door, sent.issuer).send())
    await begun.wait()
    sent.door.handler = Door.echo
    return other


async def test_a_request_without_a_fault_is_on_record_before_its_handler_runs(sent: Sent) -> None:
    recorded: list[str] = []

    async def handler(scope: HttpScope, receive: Receive, send: Send) -> None:
        recorded.extend(record["reason"] for record in sent.door.requests)
        await Door.echo(scope, receive, send)

    sent.door.handler = handler

    assert (await sent.send()).status == 200
    assert recorded == [Reason.GRANTED]


async def test_each_step_after_the_body_has_it_until_the_last(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[Call, object]] = []

    async def look(_checks: Checks, call: Call) -> None:
        taken.append((call, call.message))

    monkeypatch.setattr(sent.door.gate, "steps", (*STEPS, Step(look, TOKEN)))
    await sent.send()

    [(call, message)] = taken
    assert (message, call.message) == (orjson.loads(sent.body), {})


@pytest.mark.parametrize(
    "faults",
    [*((fault,) for fault in FAULTS), *combinations(FAULTS, 2)],
    ids=lambda faults: "+".join(fault.reason for fault in faults),
)
async def test_the_earlier_of_two_faults_is_the_reason(sent: Sent, faults: tuple[Fault, ...]) -> None:
    first = faults[0]
    reasons = [fault.reason for fault in faults]
    number = FAULTS.index(first)
    recorded = number > KNOWN and Reason.JOURNAL_UNAVAILABLE not in reasons
    # A refusal that has to be recorded, and cannot be, is answered like any other failure to record.
    expected = first.reason if recorded or number <= KNOWN else Reason.JOURNAL_UNAVAILABLE
    held = await under_way(sent) if Reason.TOO_MANY_REQUESTS in reasons else None
    handled, before = [*sent.door.handled], len(sent.door.requests)
    for fault in faults:
        fault.spoil(sent)

    reply = await sent.send()

    assert reply.reason == expected
    assert sent.door.handled == handled
    assert sent.read is not (number <= DECLARED)
    assert sent.on_disk_when_answered is not None
    new = sent.on_disk_when_answered[before:]
    assert [reason for reason in new if reason == expected] == ([expected] if recorded else [])
    if held:
        held.cancel()
        await asyncio.wait([held])
