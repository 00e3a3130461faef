"""Leaves of a log, for the exporter of traces: those of a real one, and small ones by hand."""

import gzip
from collections.abc import Mapping
from functools import partial

from tests.support.records import CALLER
from tests.support.system import ROOT
from tools.documents.tools import TOOLS
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Trace
from zerotrust.audit.event_types import Data, Outcome, Request
from zerotrust.audit.forms import MICROSECONDS, Text
from zerotrust.audit.record import GENESIS, line_of
from zerotrust.authority.ledger.leaf import is_heads

GOLDEN = ROOT / "tests" / "golden" / "task" / "evidence.jsonl.gz"
TOOL = "spiffe://agents.example/tool/documents"
KNOWN: Mapping[str, frozenset[str]] = {"tool/documents": frozenset(TOOLS), "inference": frozenset()}
AT = 1_795_600_000 * MICROSECONDS
TRACE = Trace(trace_id="1" * 32, span_id="2" * 16, parent_id="3" * 16)
GRANTED, DENIED = Decided(allowed=True, reason="granted"), Decided(allowed=False, reason="scope_missing")
ENDED = partial(Outcome, request_sha256="0" * 64, answer_sha256="0" * 64, duration=2_000)


def golden() -> list[bytes]:
    """The leaves of a real log: a task, and what else happened."""
    lines = gzip.decompress(GOLDEN.read_bytes()).splitlines()
    return [one for one in lines if one.startswith(b'{"event"') or is_heads(one)]


def line(data: Data, *, trace: Trace | None = TRACE, service: str = TOOL, at: int = AT) -> bytes:
    event = AuditEvent(schema=1, time=at, service=service, data=data, trace=trace)
    return line_of(event.canonical(), GENESIS)


def asked(operation: str, decision: Decided = GRANTED) -> Request:
    return Request(operation=Text(operation), decision=decision, principal=CALLER)
