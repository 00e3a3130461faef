"""Two faults in one request: the gate answers with the reason of the earlier step, and does nothing of the later ones.

The order of the steps is the list `FAULTS`, from which the expected reason of every pair follows.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from starlette.types import Message, Receive, Send
from starlette.types import Scope as HttpScope

from tests.support.ca import FOREVER
from tests.support.door import AT_THE_TOOL, NOW, Door, Reply
from tests.support.issuer import Issuer
from tests.support.pdp import engine
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import Dialect
from zerotrust.hardening import in_flight
from zerotrust.identity import Principal
from zerotrust.routes import MAX_MESSAGE
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
        """Send it."""
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


def path(sent: Sent) -> None:
    sent.path += "\n"


def peer(sent: Sent) -> None:
    sent.certificate_until = NOW


def credentials(sent: Sent) -> None:
    sent.with_token = False


def verification(sent: Sent) -> None:
    sent.claims["exp"] = int(NOW)


def binding(sent: Sent) -> None:
    sent.presenter = WRITER


def revocation(sent: Sent) -> None:
    sent.door.revocations.change(1, ("party", sent.issuer.registry.id(READER)), "drift")


def route(sent: Sent) -> None:
    sent.path = sent.path.replace("mcp", "elsewhere")


def dialect(sent: Sent) -> None:
    sent.headers[b"content-type"] = b"text/plain"


def before_body(sent: Sent) -> None:
    sent.claims["scope"] = "inference.run"


def limits(_sent: Sent) -> None:
    """The test has another request under way, which is all that a party may have here."""


def body_size(sent: Sent) -> None:
    sent.headers[b"content-length"] = b"%d" % (MAX_MESSAGE + 1)


def body_form(sent: Sent) -> None:
    sent.body = b"{"


def protocol(sent: Sent) -> None:
    sent.headers[MCP] = b"2025-11-25"


def decision(sent: Sent) -> None:
    sent.claims["groups"] = []


def introspection(sent: Sent) -> None:
    async def no_answer(_caller: Principal, _permission: str) -> None:
        raise Denied(Reason.ISSUER_UNAVAILABLE)

    sent.door.confirm = no_answer


def recording(sent: Sent) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, sent.door.journal._segments._fd)
    os.close(full)


class Fault(NamedTuple):
    """What is wrong with a request, and the reason of the step that finds it."""

    spoil: Callable[[Sent], None]
    reason: Reason


FAULTS = (
    Fault(path, Reason.MALFORMED_PATH),
    Fault(peer, Reason.CERTIFICATE_ENDED),
    Fault(credentials, Reason.NO_TOKEN),
    Fault(verification, Reason.EXPIRED),
    Fault(binding, Reason.NOT_BOUND),
    Fault(revocation, Reason.REVOKED),
    Fault(route, Reason.NO_PERMISSION_FOR_ROUTE),
    Fault(dialect, Reason.UNSUPPORTED_CONTENT),
    Fault(before_body, Reason.SCOPE_MISSING),
    Fault(limits, Reason.TOO_MANY_REQUESTS),
    Fault(body_size, Reason.BODY_TOO_LARGE),
    Fault(body_form, Reason.MALFORMED_BODY),
    Fault(protocol, Reason.LEGACY_ERA),
    Fault(decision, Reason.POLICY_DENIED),
    Fault(introspection, Reason.ISSUER_UNAVAILABLE),
    Fault(recording, Reason.JOURNAL_UNAVAILABLE),
)
"""In the order of the gate's steps."""
STEPS = [fault.spoil for fault in FAULTS]


def on_record(step: Callable[[Sent], None]) -> bool:
    """Whether a refusal at this step is recorded before it is sent: from then on, the gate knows the caller."""
    return STEPS.index(step) > STEPS.index(verification)


def before_the_body(step: Callable[[Sent], None]) -> bool:
    """Whether the gate refuses at this step without reading the body; its declared length is enough."""
    return STEPS.index(step) <= STEPS.index(body_size)


@pytest_asyncio.fixture(params=["in process", "elsewhere"])
async def sent(
    request: pytest.FixtureRequest, tmp_path: Path, still_issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sent]:
    """A good request.  The policies decide in process, or a decision point that is asked does."""
    monkeypatch.setattr(in_flight, "OF_A_USER", 1)
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


@pytest.mark.parametrize(
    "faults",
    [*((fault,) for fault in FAULTS), *combinations(FAULTS, 2)],
    ids=lambda faults: "+".join(fault.spoil.__name__ for fault in faults),
)
async def test_the_earlier_of_two_faults_is_the_reason(sent: Sent, faults: tuple[Fault, ...]) -> None:
    first = faults[0]
    recorded = on_record(first.spoil) and recording not in {fault.spoil for fault in faults}
    # A refusal that has to be recorded, and cannot be, is answered like any other failure to record.
    expected = first.reason if recorded or not on_record(first.spoil) else Reason.JOURNAL_UNAVAILABLE
    held = await under_way(sent) if limits in {fault.spoil for fault in faults} else None
    handled, before = [*sent.door.handled], len(sent.door.requests)
    for fault in faults:
        fault.spoil(sent)

    reply = await sent.send()

    assert reply.reason == expected
    assert sent.door.handled == handled
    assert sent.read is not before_the_body(first.spoil)
    assert sent.on_disk_when_answered is not None
    new = sent.on_disk_when_answered[before:]
    assert [reason for reason in new if reason == expected] == ([expected] if recorded else [])
    if held:
        held.cancel()
        await asyncio.wait([held])
