"""Turns records of the audit log into OpenTelemetry's spans.  Pure.

A span has what its records say, and of that only `ATTRIBUTES`.  Callers choose paths and names of tools, so a span has
only known routes and approved tools.  `url.path` and a model's provider, which the conventions require, are missing.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from zerotrust.audit.event_parts import Decided, Trace
from zerotrust.audit.event_types import Access, Exchange, Outcome, Refusal, RegistryChange, Request, UntrustedPeer
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.audit.record import hash_of
from zerotrust.authority.ledger.leaf import Heads, Record, leaf_of
from zerotrust.authority.names import short

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
"""The semantic conventions: the last version that has those for HTTP, GenAI, agents and MCP together."""
HTTP = ["http.request.method", "http.response.status_code", "http.route"]
AGENTS = ["gen_ai.agent.name", "gen_ai.operation.name", "gen_ai.tool.name", "mcp.method.name"]
ATTRIBUTES = [*HTTP, *AGENTS, "error.type", "zt.allowed", "zt.outcome", "zt.reason", "zt.record", "zt.transaction"]
"""All that a span may have.  `zt.record` and `zt.outcome` name a record by its party and number."""
OF_AGENTS = {"/a2a", "/.well-known/agent-card.json", "/mcp", "/v1/chat/completions", "/v1/models"}
ROUTES = {"/tasks", "/plan", "/models", *OF_AGENTS, "/feed"}
"""The routes that a span names: those of tasks, without parameters, and the feed.  Other names have only the method."""
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
MOST_OPEN = 1_000
"""Calls whose outcome is awaited at a time: of more, the oldest gets a span without one."""
WAIT = 600 * MICROSECONDS
"""How long an outcome is awaited: twice as long as the root of a task's tokens is valid."""

Tools = Mapping[str, AbstractSet[str]]
"""The names of the approved tools of each party of the registry."""
Found = dict[str, str | bool | int | None]


@dataclass(frozen=True, slots=True)
class _Begun:
    """The known attributes of a span.  `leaves` tell; `decision` is that of the gate, or the refusal after it."""

    record: Record
    trace: Trace
    name: str
    found: Found
    decision: Decided | None
    leaves: tuple[int, ...] = ()


class Spans:
    """Makes spans of the leaves of one log, which it is given in their order."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._open = tools, dict[tuple[str, str], _Begun]()

    @property
    def open_leaves(self) -> list[int]:
        """The leaves about calls whose outcome is awaited: taken again after a restart, they complete no span."""
        return sorted(leaf for call in self._open.values() for leaf in call.leaves)

    def take(self, leaf: int, entry: bytes) -> Iterator[ReadableSpan]:
        """Yield the spans that the leaf of this number completes.  Raises `ValueError` if it is unreadable."""
        record = leaf_of(entry)
        if isinstance(record, Heads):
            late = [key for key, call in self._open.items() if call.record.event.time + WAIT < record.time]
            yield from (_span(self._open.pop(key)) for key in late)
            return
        trace, data = record.event.trace, record.event.data
        if trace is None or not int(trace.trace_id, 16) or not int(trace.span_id, 16):
            return  # of no request, or with an id that is none (W3C Trace Context section 3.2.2)
        call = self._open.get(key := (record.event.service, trace.span_id))
        below = replace(trace, span_id=hash_of(entry)[:16], parent_id=trace.span_id)
        match data:
            case Request() | Refusal() if call:
                if len(call.leaves) == 1:
                    self._open[key] = replace(call, decision=data.decision, leaves=(*call.leaves, leaf))
            case Request():
                if data.principal and not data.principal.actors:  # the span above it is of a person's client
                    trace = replace(trace, parent_id=None)
                name, found = self._operation(short(record.event.service), data.operation)
                self._open[key] = _Begun(record, trace, name, found, data.decision, (leaf,))
                if not data.decision.allowed:
                    yield _span(self._open.pop(key))
                elif len(self._open) > MOST_OPEN:
                    yield _span(self._open.pop(next(iter(self._open))))
            case Outcome() if call:
                yield _span(self._open.pop(key), end=record)
            case Exchange():
                party = short(data.audience)
                name = f"exchange {party}" if party in self._tools else "exchange"
                yield _span(_Begun(record, below, name, {}, data.decision), SpanKind.CLIENT)
            case Access() | UntrustedPeer():
                yield _span(_Begun(record, below, data.type, {}, data.decision), SpanKind.INTERNAL)
            case RegistryChange():
                yield _span(_Begun(record, below, data.action, {}, None), SpanKind.INTERNAL)

    def _operation(self, party: str, operation: str) -> tuple[str, Found]:
        """Return the name of a request's span, and the attributes of the request."""
        method, _, target = operation.partition(" ")
        rpc, _, tool = target.partition(" ")
        verb = method if method in METHODS else "_OTHER"  # control: span-method-known
        found: Found = {"http.request.method": verb, "error.type": "no_outcome"}
        if rpc in {"tools/list", "tools/call", "server/discover"}:
            known = tool if tool in self._tools.get(party, ()) else None  # control: span-tool-approved
            kind = "execute_tool" if rpc == "tools/call" else None
            found |= {"mcp.method.name": rpc, "gen_ai.operation.name": kind, "gen_ai.tool.name": known}
            return f"{rpc} {known}" if known else rpc, found
        route = found["http.route"] = target if target in ROUTES else None  # control: span-route-listed
        if route == "/a2a":
            found |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": party.rpartition("/")[2]}
            return f"invoke_agent {found['gen_ai.agent.name']}", found
        if route == "/v1/chat/completions":
            return "chat", found | {"gen_ai.operation.name": "chat"}
        return " ".join(filter(None, ("HTTP" if verb == "_OTHER" else verb, route))), found


def _span(begun: _Begun, kind: SpanKind = SpanKind.SERVER, end: Record | None = None) -> ReadableSpan:
    """Return a span: that of a request with the times that its outcome, `end`, says; another with its record's time."""
    event, trace, decision = begun.record.event, begun.trace, begun.decision
    token, start, duration = getattr(event.data, "principal", None), event.time, 0
    party = short(event.service)
    found = begun.found | {"zt.record": f"{party}/{begun.record.link.records}"}
    found |= {"zt.transaction": token and token.transaction}
    if end and isinstance(outcome := end.event.data, Outcome):
        start, duration = max(end.event.time - outcome.duration, 0), outcome.duration
        failed = str(outcome.status) if (outcome.status or 0) >= 500 else None
        found |= {"error.type": failed if outcome.ended == "complete" else outcome.ended}
        found |= {"http.response.status_code": outcome.status, "zt.outcome": f"{party}/{end.link.records}"}
    if decision:
        found |= {"zt.allowed": decision.allowed, "zt.reason": decision.reason}
        found |= {} if decision.allowed else {"error.type": decision.reason}
    ids = [int(one, 16) if one else 0 for one in (trace.trace_id, trace.span_id, trace.parent_id)]
    return ReadableSpan(
        begun.name,
        SpanContext(ids[0], ids[1], is_remote=True),
        SpanContext(ids[0], ids[2], is_remote=True) if ids[2] else None,
        Resource({"service.name": party, "service.namespace": event.service.split("/")[2]}, SCHEMA),
        {key: value for key in ATTRIBUTES if (value := found.get(key)) is not None},
        kind=kind,
        status=Status(StatusCode.ERROR if found.get("error.type") else StatusCode.UNSET),
        start_time=start * 1_000,  # nanoseconds
        end_time=(start + max(duration, 1)) * 1_000,  # Jaeger takes a duration of 0 for a negative one
        instrumentation_scope=InstrumentationScope("zero-trust-agents", schema_url=SCHEMA),
    )
