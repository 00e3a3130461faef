"""Traces made of evidence: which spans records become, and what no span has, whatever is in a record."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from agents.reader.main import ROUTES as OF_READER
from inference.main import ROUTES as OF_INFERENCE
from orchestrator.main import ROUTES as OF_ORCHESTRATOR
from start.traces import spans as traces
from start.traces.spans import ATTRIBUTES, MOST_OPEN, ROUTES, WAIT, Spans
from tests.support.events import values
from tests.support.records import CALLER
from tests.support.traced import AT, DENIED, ENDED, GRANTED, KNOWN, TOOL, TRACE, asked, golden, line
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Trace
from zerotrust.audit.event_types import Data, Exchange, Refusal, RegistryChange, Request
from zerotrust.audit.forms import Text
from zerotrust.audit.record import GENESIS, line_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf


def spans(entries: Iterable[bytes], made: Spans | None = None) -> list[ReadableSpan]:
    made = made or Spans(KNOWN)
    return [span for leaf, entry in enumerate(entries) for span in made.take(leaf, entry)]


def ended(request: Request, service: str = TOOL) -> ReadableSpan:
    """The span of a request with an outcome."""
    [span] = spans([line(request, service=service), line(ENDED(ended="complete", status=200), service=service)])
    return span


def found(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_real_task_is_one_tree_with_a_record_behind_each_span() -> None:
    entries = golden()
    known = {
        f"{record['event']['service'].partition('example/')[2]}/{record['n']}": record
        for record in map(json.loads, entries)
        if "event" in record
    }
    made = spans(entries)

    assert all(found(span)["zt.record"] in known for span in made)
    assert len({found(span)["zt.record"] for span in made}) == len(made)
    [root] = [span for span in made if span.name == "POST /tasks"]
    task = [span for span in made if span.context.trace_id == root.context.trace_id]
    ids = {span.context.span_id for span in task}
    assert len(ids) == len(task) == 37
    assert [span for span in task if span is not root and (not span.parent or span.parent.span_id not in ids)] == []
    assert {span.name for span in task} == {
        *(
            "POST /tasks",
            "GET /v1/models",
            "chat",
            "invoke_agent reader",
            "invoke_agent writer",
            "access",
            "tools/list",
        ),
        *("exchange inference", "exchange", "exchange tool/documents"),
        *("tools/call create", "tools/call read", "tools/call replace", "tools/call search"),
    }
    refused = {(span.name, found(span)["error.type"]) for span in task if not span.status.is_ok}
    assert refused == {
        ("access", "resource_denied"),
        ("tools/call read", "scope_missing"),
        ("tools/call replace", "scope_missing"),
    }


def test_a_span_has_the_attributes_on_this_list_and_no_other() -> None:
    """An attribute more is a decision that somebody has to make here, too."""
    assert set(ATTRIBUTES) == {
        *("http.request.method", "http.response.status_code", "http.route", "error.type"),
        *("gen_ai.agent.name", "gen_ai.operation.name", "gen_ai.tool.name", "mcp.method.name"),
        *("zt.allowed", "zt.outcome", "zt.reason", "zt.record", "zt.transaction"),
    }
    for span in spans(golden()):
        assert found(span).keys() <= set(ATTRIBUTES)
        assert set(span.resource.attributes) == {"service.name", "service.namespace"}
        assert not span.events
        assert not span.links
        assert not span.status.description


def test_what_is_not_on_the_list_does_not_get_into_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "ATTRIBUTES", ["zt.record"])

    assert found(ended(asked("POST tools/call read"))) == {"zt.record": "tool/documents/1"}


MARK = "PLANTED"
PLANTED = {
    **dict.fromkeys(("subject", "session", "client", "party", "token_id", "permission"), st.just(MARK)),
    **dict.fromkeys(("scopes", "groups", "actors", "lineage", "rules"), st.just((MARK,))),
    **dict.fromkeys(("detail", "name", "kind", "target", "department", "version"), st.just(MARK)),
    "attributes": st.just({MARK: MARK}),
    "operation": st.sampled_from([MARK, f"GET /{MARK}", f"{MARK} /tasks", f"POST tools/call {MARK}", f"POST {MARK}"]),
    "transaction": st.just("a-transaction"),
    "reason": st.just("granted"),
    "service": st.just(TOOL),
    "trace": st.just(TRACE),
}
"""Everything that a person, a caller, an operator or a document can fill, in every type of event."""


@given(values(AuditEvent, PLANTED, 2**53 - 1), values(RegistryChange, PLANTED | {"cause": st.just(MARK)}, 2**53 - 1))
def test_no_span_has_a_word_of_users_scopes_documents_or_requests(event: AuditEvent, change: RegistryChange) -> None:
    entries = [line(change), line_of(event.canonical(), GENESIS), line(ENDED(ended="complete"))]

    assert MARK.encode() not in encode_spans(spans(entries)).SerializeToString()


@pytest.mark.parametrize(
    ("operation", "service", "name", "said"),
    [
        ("POST /tasks", "orchestrator", "POST /tasks", {"http.route": "/tasks"}),
        ("GET /receipts/123", "orchestrator", "GET", {}),
        ("GET /tasks?user=alice", "orchestrator", "GET", {}),
        ("BREW /tasks", "orchestrator", "HTTP /tasks", {"http.request.method": "_OTHER", "http.route": "/tasks"}),
        (
            "POST /a2a",
            "agent/reader",
            "invoke_agent reader",
            {"http.route": "/a2a", "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "reader"},
        ),
        (
            "POST /v1/chat/completions",
            "inference",
            "chat",
            {"http.route": "/v1/chat/completions", "gen_ai.operation.name": "chat"},
        ),
        ("POST tools/list", "tool/documents", "tools/list", {"mcp.method.name": "tools/list"}),
        (
            "POST tools/call read",
            "tool/documents",
            "tools/call read",
            {"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "read"},
        ),
        (
            "POST tools/call alice",
            "tool/documents",
            "tools/call",
            {"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool"},
        ),
        (
            "POST tools/call read",
            "inference",
            "tools/call",
            {"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool"},
        ),
    ],
)
def test_a_request_is_named_by_what_is_known_of_it(
    operation: str, service: str, name: str, said: dict[str, str]
) -> None:
    span = ended(asked(operation), f"spiffe://agents.example/{service}")

    assert span.name == name
    assert span.kind is SpanKind.SERVER
    about = {key: value for key, value in found(span).items() if key.startswith(("http.", "gen_ai.", "mcp."))}
    assert about == {"http.request.method": operation.split(maxsplit=1)[0], "http.response.status_code": 200} | said


def test_every_route_of_a_task_without_a_parameter_is_named() -> None:
    paths = {path for routes in (OF_ORCHESTRATOR, OF_READER, OF_INFERENCE) for _, path in routes if "{" not in path}

    assert paths - {"/health"} <= ROUTES


def test_a_span_lasts_as_its_outcome_says_and_names_both_records() -> None:
    delegated = replace(CALLER, actors=("spiffe://agents.example/orchestrator",))
    entries = [
        line(replace(asked("POST /tasks"), principal=delegated)),
        line(ENDED(ended="complete", status=200), at=AT + 5_000),
    ]
    [span] = spans(entries)

    assert (span.start_time, span.end_time) == ((AT + 3_000) * 1_000, (AT + 5_000) * 1_000)
    assert span.context.span_id == int("2" * 16, 16)
    assert span.parent is not None
    assert span.parent.span_id == int("3" * 16, 16)
    assert found(span)["zt.outcome"] == "tool/documents/1"
    assert span.resource.attributes == {"service.name": "tool/documents", "service.namespace": "agents.example"}


def test_the_span_of_a_person_s_call_is_the_top_one_because_their_client_has_no_record() -> None:
    assert ended(asked("POST /tasks")).parent is None


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([asked("POST /tasks", DENIED)], "scope_missing"),
        ([asked("POST /tasks"), Refusal(decision=DENIED), ENDED(ended="complete", status=403)], "scope_missing"),
        ([asked("POST /tasks"), asked("POST /tasks", DENIED), ENDED(ended="cut_off")], "scope_missing"),
        ([asked("POST /tasks"), ENDED(ended="complete", status=404)], None),
        ([asked("POST /tasks"), ENDED(ended="complete", status=502)], "502"),
        ([asked("POST /tasks"), ENDED(ended="failed")], "failed"),
    ],
)
def test_a_refusal_and_a_failure_are_errors(records: list[Data], error: str | None) -> None:
    [span] = spans(line(one) for one in records)

    assert found(span).get("error.type") == error
    assert (span.status.status_code is StatusCode.ERROR) == bool(error)
    assert found(span)["zt.allowed"] == (error != "scope_missing")


def test_what_happens_in_a_request_is_below_it_and_has_an_id_of_its_own() -> None:
    exchange = Exchange(
        audience="spiffe://agents.example/inference",
        scopes=("inference.run",),
        decision=GRANTED,
        principal=CALLER,
        parent_token_id="t",
    )
    change = RegistryChange(action="suspend", target=Text("user alice"))
    once, twice = (spans([line(exchange), line(change)]) for _ in range(2))

    assert [(one.name, one.kind) for one in once] == [
        ("exchange inference", SpanKind.CLIENT),
        ("suspend", SpanKind.INTERNAL),
    ]
    assert {one.parent.span_id for one in once if one.parent} == {int("2" * 16, 16)}
    assert len({one.context.span_id for one in once} | {int("2" * 16, 16)}) == 3
    assert [one.context for one in once] == [one.context for one in twice], (
        "a record that is sent again is the same span"
    )


@pytest.mark.parametrize(
    "trace", [None, Trace(trace_id="0" * 32, span_id="2" * 16), Trace(trace_id="1" * 32, span_id="0" * 16)]
)
def test_what_belongs_to_no_request_has_no_span(trace: Trace | None) -> None:
    assert spans([line(asked("POST /tasks", DENIED), trace=trace)]) == []


def test_a_call_without_an_outcome_is_given_up_after_a_while() -> None:
    made = Spans(KNOWN)
    assert spans([line(asked("POST /tasks")), heads_leaf(Heads({}, AT + WAIT))], made) == []

    [span] = spans([heads_leaf(Heads({}, AT + WAIT + 1))], made)

    assert found(span)["error.type"] == "no_outcome"
    assert spans([line(ENDED(ended="complete"))], made) == []


def test_so_many_calls_are_awaited_and_no_more() -> None:
    made = Spans(KNOWN)
    for number in range(1, MOST_OPEN + 1):
        trace = Trace(trace_id="1" * 32, span_id=f"{number:016x}")
        assert list(made.take(number, line(asked("POST /tasks"), trace=trace))) == []

    [oldest] = made.take(MOST_OPEN + 1, line(asked("POST /tasks"), trace=Trace(trace_id="1" * 32, span_id="f" * 16)))
    assert oldest.context.span_id == 1


def test_a_leaf_that_is_no_record_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a record"):
        spans([b"{}"])
