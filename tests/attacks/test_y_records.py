"""Y. The records themselves: what a caller's text does to their readers, and what is done without one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from start.traces.spans import Spans
from tests.support.attack import Attempt, Scene, Target, Tries, Watched, attack, in_process, tool_call
from tests.support.disk import no_room_beyond
from tests.support.issuer import Issuer
from tests.support.records import CALLER
from tests.support.traced import KNOWN, line
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Policy
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zerotrust.decision import Reason
from zerotrust.service import Service
from zt.people.authority_client import AuthorityClient
from zt.policy.explanation import MOST, decisions, explanations

TOOL = "tool/documents"
TEXTS = ("read\r\nGRANTED", "read\x1b[2K\0\x9b31m", "read\u202edetnarg\u200b")
"""No more than a party records in full of one caller's refusals; it counts the others."""


@pytest.fixture(autouse=True)
def every_event_can_be_parsed() -> None:
    """Not here: without its control, row 390 records what no reader takes; with it, the attack looks at each text."""


class Read(Target):
    """The system, whose journals an attack reads itself: as bytes, or while they cannot be written."""

    async def records(self, party: str) -> list[dict[str, Any]]:  # noqa: ARG002 - of nobody
        """None: a record that is not plain is none that `AuditEvent.parse` takes."""
        return []

    def journal(self, party: str = TOOL) -> Path:
        return self.system.folder / party.replace("/", "-") / "journal.jsonl"


@asynccontextmanager
async def unread(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Read]:
    async with in_process(folder, issuer, kind) as target:
        yield Read(target.system, issuer, target.clock)


def texts(value: Any) -> Iterator[str]:
    """All texts of a record, as whoever reads its JSON has them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


@attack(390, unread)
async def test_a_text_that_writes_into_the_terminal_of_whoever_reads_the_journal(target: Read) -> Tries:
    for text in TEXTS:
        before = target.journal().stat().st_size
        tried = await target.send(TOOL, target.token(TOOL), body=tool_call(text), headers=[(b"mcp-name", None)])
        lines = target.journal().read_bytes()[before:].splitlines()
        said = [one for line in lines for one in texts(orjson.loads(line))]
        assert any("read" in one for one in said)  # it is on record
        plain = all(one.isascii() and one.isprintable() for one in said)
        yield Attempt(str(tried.answer.status_code), not plain, said, tried.problem["reason"])


@attack(391, unread)
async def test_a_call_while_the_journal_cannot_be_written(target: Read) -> Tries:
    """What nobody can read about afterwards: neither a handler that ran, nor a document that it gave out."""
    served = target.system.services[TOOL]
    assert isinstance(served, Watched)
    with no_room_beyond(target.journal().stat().st_size):
        tried = await target.send(TOOL, target.token(TOOL))
    said = [one for one in [Reason.JOURNAL_UNAVAILABLE] if f'"{one}"' in tried.answer.text]  # it cannot be on record
    yield Attempt(str(tried.answer.status_code), tried.handled, said, Reason.JOURNAL_UNAVAILABLE)

    with ExitStack() as full:
        served.entered = lambda: full.enter_context(no_room_beyond(target.journal().stat().st_size))
        tried = await target.send(TOOL, target.token(TOOL))
    assert tried.handled
    told = tried.answer.json()
    yield Attempt(str(tried.answer.status_code), "result" in told and not told["result"].get("isError"))


class Explainer:
    """A policy authority that keeps one version."""

    async def ask(self, _method: str, path: str, body: Any = None) -> Any:
        if path == "/versions":
            return {"versions": [{"number": 1, "digest": "0" * 64, "at": 0}], "active": 1}
        return {
            "sentences": {},
            "explanations": [{"rules": [], "instead": [], "allowed": False}] * len(body["refused"]),
        }


@attack(394, unread)
async def test_refusals_that_are_invented_so_that_a_genuine_one_is_not_explained(target: Read) -> Tries:
    """As many as are explained at once, dated earlier, and in the names of others."""
    refused = Decided(allowed=False, reason="policy_denied", policy=Policy(version=f"1-{'0' * 12}"))
    request = Request(operation=sanitize("POST /"), decision=refused, principal=CALLER, permission="tool.read")
    event = AuditEvent(schema=1, time=1, service=target.system.services[TOOL].registry.id(TOOL), data=request)
    invented = [replace(event, data=replace(request)) for _ in range(MOST)]
    genuine = replace(event, time=2, data=replace(request, permission="tool.write"))
    by = dict.fromkeys(map(id, invented), "the writer") | {id(genuine): "the tool"}
    found = await explanations(cast("AuthorityClient", Explainer()), decisions([*invented, genuine]), by)
    explained = any(one["asked"] == "tool.write" for one in found["decisions"])
    yield Attempt("explained" if explained else "left out", not explained, ["explained"] * explained, "explained")


@attack(470, Scene)
async def test_a_caller_who_writes_into_the_trace_of_others(scene: Scene) -> Tries:
    """Jaeger has no sign-in, so whoever reaches its page sees every span."""
    for operation, control in {
        "ALICE /tasks": "span-method-known",
        "GET /tasks/alice": "span-route-listed",
        "POST Summarise what alice wrote": "span-route-listed",
        "POST tools/call alice": "span-tool-approved",
    }.items():
        refused = Request(operation=sanitize(operation), decision=Decided(allowed=False, reason="no_permission"))
        [span] = Spans(KNOWN).take(0, line(refused))
        sent = encode_spans([span]).SerializeToString()
        yield Attempt(span.name, b"alice" in sent.lower()).stopped_by(control)
