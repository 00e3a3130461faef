"""`zt audit show`, without a service: each kind of record is shown, or left out for a reason, and nothing is empty."""

import io
from dataclasses import replace
from typing import Any, get_args
from xml.etree import ElementTree as Xml

import pytest
from rich.console import Console
from rich.text import Text as ColouredText

from tests.reference.events import EXAMPLES
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Peer, Policy, Trace
from zerotrust.audit.event_types import (
    Action,
    Alarm,
    AlarmCause,
    Counts,
    Data,
    Exchange,
    Outcome,
    RegistryChange,
    Repeated,
    Request,
    Unverified,
)
from zerotrust.audit.forms import sanitize
from zt.diagram import diagram
from zt.events_told import DONE, changed, counted
from zt.terminal import Terminal
from zt.trail import LEFT_OUT, by_transaction, dated, trail

GRANTED = Decided(allowed=True, reason="granted")
DIGEST = "2c543d914da3" + "0" * 52
REGISTRY = "spiffe://agents.example/authority/registry"


def event(data: Data, *, time: int = 1, span: str = "1") -> AuditEvent:
    trace = Trace(trace_id="0" * 32, span_id=span * 16)
    token = getattr(data, "principal", None)
    service = token.audience if token else REGISTRY
    return AuditEvent(schema=1, time=time, service=service, data=data, trace=trace if span else None)


def shown(*events: AuditEvent) -> list[str]:
    file = io.StringIO()
    Terminal(file=file, width=200, color_system=None).print(trail(events, details=True))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("kind", get_args(Data), ids=lambda kind: str(kind.__name__))
def test_a_record_of_any_kind_alone_is_no_empty_block(kind: Any) -> None:
    """A new kind fails here until `trail` shows it, or `LEFT_OUT` says why not."""
    [example, *_] = [one for one in EXAMPLES if isinstance(one.data, kind)]

    said = shown(example)

    assert len(said) > 1
    assert (f"1 record {LEFT_OUT.get(kind)}" in said[-1]) == (kind in LEFT_OUT)
    assert diagram("one record", [example])


def test_what_is_left_out_is_counted_only_where_nothing_else_is_shown() -> None:
    ended = Outcome(ended="complete", duration=1, request_sha256=DIGEST, answer_sha256=DIGEST)
    exchange = Exchange(
        audience="a", scopes=(), decision=GRANTED, principal=CALLER, parent_token_id=CALLER.token_id, token_id="t"
    )
    request = Request(operation=sanitize("GET /parties"), decision=GRANTED, principal=CALLER)

    left_out = [event(exchange), event(ended), event(ended)]
    _, *lines = shown(*left_out)
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"1 record {LEFT_OUT[Exchange]}",
        f"2 records {LEFT_OUT[Outcome]}",
    ]
    assert not any("record" in line for line in shown(event(request), *left_out))


def test_an_operators_change_stands_under_the_call_that_made_it() -> None:
    request = Request(operation=sanitize("POST /versions"), decision=GRANTED, principal=CALLER)
    activated = RegistryChange(
        action="activate", target=sanitize(f"policy 2 {DIGEST}"), cause=sanitize("for all"), principal=CALLER
    )
    told = f"activated policy 2-2c543d914da3: for all (by {CALLER.subject})"

    both = shown(event(activated, time=2), event(request))
    assert both[0] == f"transaction {CALLER.transaction}, policy \N{EN DASH}"
    assert [line.lstrip("│├└─ ") for line in both[1:]] == [
        "T0 walkthrough → orchestrator",
        "granted  POST /versions",
        told,
    ]
    alone = shown(event(activated))
    assert alone[0] == f"transaction {CALLER.transaction}"
    assert alone[-1].endswith(told)


def test_a_change_by_attestation_or_by_keycloak_says_so() -> None:
    drift = RegistryChange(
        action="drift",
        target=sanitize("agent/writer"),
        cause=sanitize("agents/writer/planted.py"),
        peer=Peer(id="spiffe://agents.example/authority/attestation"),
    )
    logout = RegistryChange(action="revoke", target=sanitize("session 5f2c"), cause=sanitize("keycloak: LOGOUT"))

    told = "suspended agent/writer, whose code has changed: agents/writer/planted.py (by authority/attestation)"
    assert shown(event(drift)) == ["no transaction", f"└── {told}  (authority/registry)"]
    assert changed(logout) == "revoked session 5f2c: keycloak: LOGOUT"


@pytest.mark.parametrize("action", get_args(Action))
def test_every_change_says_what_was_done_to_which_target(action: Action) -> None:
    change = RegistryChange(action=action, target=sanitize("agent/writer"), cause=sanitize("why"))

    [_, line] = shown(event(change))
    assert "agent/writer" in line
    assert "agent/writer" not in DONE[action]
    assert ": why" in line
    says = [one.text or "" for one in Xml.fromstring(diagram("x", [event(change)])).iter() if one.text]  # noqa: S314
    assert f"1. {changed(change)}" in says


def test_actions_are_told_apart() -> None:
    assert set(DONE) == set(get_args(Action))
    assert len(set(DONE.values())) == len(DONE)


def test_counts_are_added_up_by_their_reason() -> None:
    strangers = [Unverified(origin=origin, reason="no_token", times=600) for origin in ("127.0.0.1", "127.0.0.2")]
    again = Repeated(operation=sanitize("GET /feed"), reason="granted", times=2)

    assert counted(
        [Counts(unverified=tuple(strangers)), Counts(repeated=(again,)), Counts(unverified=(strangers[0],))]
    ) == [
        "only counted: 1,800 of callers that were not verified: no_token",
        "only counted: 2 more like one that is recorded: granted",
    ]


def test_a_record_that_counts_nothing_is_no_fault() -> None:
    assert shown(event(Counts(), span="")) == ["no transaction", "└── only counted: nothing"]
    assert counted([]) == []


@pytest.mark.parametrize(
    "text", ["[/x]", "[conceal]hidden[/conceal]", "[link=https://evil.example]3-abc[/link]", ":skull:"]
)
def test_text_of_a_record_is_no_markup_wherever_the_tree_is_printed(text: str) -> None:
    by_those = Decided(allowed=True, reason="granted", policy=Policy(version=text))
    caller = replace(CALLER, transaction=text, token_id=text)
    change = RegistryChange(action="revoke", target=sanitize(text), cause=sanitize(text))
    tree = trail([event(Request(operation=sanitize(text), decision=by_those, principal=caller)), event(change)])
    file = io.StringIO()

    Console(file=file, width=200, color_system=None).print(dated(tree, 1))

    assert f"1970-01-01 00:00:00Z, transaction {text}, policy {text}\n" in file.getvalue()
    assert f"granted  {text}\n" in file.getvalue()
    assert f"revoked {text}: {text}" in file.getvalue()


@pytest.mark.parametrize("cause", ["explained", "unexplained"])
def test_an_alarm_of_anybody_but_the_audit_authority_names_its_author_in_red(cause: AlarmCause) -> None:
    alarm = event(Alarm(cause=cause, party=REGISTRY, token_id="t1", at=1), span="")
    said = f"alarm: {cause} exchange of authority/registry: t1"

    for ledger in "spiffe://agents.example/authority/audit", "":
        line = trail([alarm], ledger=ledger).children[0].label
        assert isinstance(line, ColouredText)
        assert line.plain == f"{said}  (recorded by authority/registry, which is not the audit authority here)"
        assert line.style == "red"

    line = trail([alarm], ledger=REGISTRY).children[0].label
    assert isinstance(line, ColouredText)
    assert (line.plain, line.style) == (said, "green" if cause == "explained" else "red")


def test_without_a_trace_each_change_has_a_block_with_its_time_and_counts_have_one() -> None:
    change = RegistryChange(action="revoke", target=sanitize("session 5f2c"), cause=sanitize("keycloak: LOGOUT"))
    said: list[Data] = [change, Counts(), change, Counts()]
    events = [event(data, time=time, span="") for time, data in enumerate(said)]

    assert [[one.time for one in group] for group in by_transaction(events)] == [[0], [1, 3], [2]]
