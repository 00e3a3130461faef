"""Events: canonical bytes that any language agrees on, read back strictly, with nothing in them that must not be."""

import re
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from testkit import principal
from tests.support.events import values
from tests.support.leaks import holds_token
from tests.support.records import CALLER
from zerotrust.audit import event_parts
from zerotrust.audit.event import SCHEMA, AuditEvent, is_valid, misnamed_field
from zerotrust.audit.event_parts import DESCRIBED, LONGEST_DESCRIBED, Caller, Decided, Effect, Policy, Resource, Trace
from zerotrust.audit.event_types import Access, Alarm, Counts, Exchange, Repeated, Request
from zerotrust.audit.forms import NAME, Text, as_name, sanitize
from zerotrust.decision import Decision, Reason, ReasonCode
from zerotrust.limits.bounded import Bounded

TRACE = Trace(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331", parent_id="00f067aa0ba902b7")
EVENT = AuditEvent(
    schema=SCHEMA,
    time=1_800_000_000_123_456,
    service="spiffe://agents.example/tool/documents",
    trace=TRACE,
    data=Access(
        operation=sanitize("document.replace"),
        resource=Resource(kind="Document", name=sanitize("ENG-104")),
        decision=Decided(allowed=True, reason="granted", policy=Policy(version="0123456789ab", rules=("own",))),
        principal=CALLER,
        effect=Effect(before="a" * 64, after="b" * 64),
    ),
)


@given(values(AuditEvent))
def test_the_bytes_are_the_canonical_form_of_rfc_8785_and_come_back_as_the_same_event(event: AuditEvent) -> None:
    try:
        raw = event.canonical()
    except TypeError:  # an integer of more than 53 bits, or text that is no Unicode
        return

    assert rfc8785.dumps(applying(asdict(event))) == raw
    assert event.canonical() == raw  # also where the caller is described already
    assert AuditEvent.parse(raw) == event


def applying(content: Any) -> Any:
    """The same without what does not apply."""
    if isinstance(content, dict):
        return {name: applying(value) for name, value in content.items() if value is not None}
    return [applying(value) for value in content] if isinstance(content, tuple) else content


@given(values(Caller))
def test_what_is_known_of_a_caller_is_of_that_caller(caller: Caller) -> None:
    """Each differs from the one before in one field at most, as those of one user do."""
    for name in ("token_id", "scopes", "issued_at", "actors"):
        other = replace(caller, **{name: getattr(CALLER, name)})
        for one in (caller, other):
            refused = Decided(allowed=False, reason="not_bound")
            data = Exchange(audience="a", scopes=(), decision=refused, principal=one, parent_token_id="t")
            event = replace(EVENT, data=data)
            try:
                raw = event.canonical()
            except TypeError:
                continue
            assert orjson.loads(raw)["data"]["principal"] == orjson.loads(orjson.dumps(applying(asdict(one))))


def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[object] = []

    def note(members: object) -> bytes:
        described.append(members)
        return b"{}"

    monkeypatch.setattr(event_parts, "canonical", note)
    callers = [replace(CALLER, token_id=f"one-of-many-{number}") for number in range(DESCRIBED + 1)]
    for one in (*callers, callers[-1]):
        one.members()
    assert len(described) == len(callers)

    callers[0].members()
    assert len(described) == len(callers) + 1


def test_a_description_that_no_token_can_have_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Bounded[Caller, Any](DESCRIBED)
    monkeypatch.setattr(event_parts, "_described", known)
    long = replace(CALLER, scopes=tuple(f"scope.{number}" for number in range(LONGEST_DESCRIBED // 8)))

    assert orjson.loads(orjson.dumps(long.members()))["subject"] == CALLER.subject
    assert not known
    CALLER.members()
    assert [*known] == [CALLER]


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        pytest.param(b'"schema":1', b'"schema":2', id="another schema"),
        pytest.param(b'"schema":1,', b"", id="no schema"),
        pytest.param(b'"type":"access"', b'"type":"grant"', id="another type"),
        pytest.param(b'"schema":1', b'"schema":1,"secret":"x"', id="an unknown field"),
        pytest.param(b'"kind":"Document"', b'"kind":"Document","owner":"x"', id="an unknown field inside"),
        pytest.param(b'"allowed":true', b'"allowed":1', id="another type of value"),
        pytest.param(b'"time":1800000000123456', b'"time":1800000000123456.0', id="a fraction"),
        pytest.param(b'"time":1800000000123456', b'"time":1152921504606846976', id="more than 53 bits"),
        pytest.param(b'"span_id"', b'"caller_trace_id":null,"span_id"', id="null"),
        pytest.param(b'"schema":1', b'"schema":1,"schema":1', id="a member twice"),
        pytest.param(b'"schema":1', b' "schema":1', id="space"),
        pytest.param(b"ENG-104", b"\\u0045NG-104", id="another spelling"),
        pytest.param(b'"operation":"document.replace",', b"", id="a field missing"),
    ],
)
def test_another_shape_or_spelling_is_refused(changed: bytes, to: bytes) -> None:
    raw = EVENT.canonical()
    assert AuditEvent.parse(raw) == EVENT

    with pytest.raises(ValueError):  # noqa: PT011 - whatever a reader of JSON says
        AuditEvent.parse(raw.replace(changed, to))
    assert changed in raw


@pytest.mark.parametrize(
    ("field", "unfit"),
    [
        ("trace_id", TRACE.trace_id.upper()),
        ("trace_id", TRACE.trace_id[1:]),
        ("span_id", TRACE.span_id + "0"),
        ("parent_id", TRACE.trace_id),
        ("before", "a" * 63),
        ("after", "sha256:" + "b" * 64),
        ("after", "b" * 64 + "\n"),
        ("service", "two words"),
        ("party", "two words"),
        ("subject", ""),
        ("name", "\a"),
        ("time", -1),
        ("expires_at", -1),
    ],
)
def test_an_id_a_digest_or_a_time_without_its_form_is_refused(field: str, unfit: str | int) -> None:
    member = orjson.dumps({field: unfit})[1:-1]
    changed, found = re.subn(rf'"{field}":("[^"]*"|\d+)'.encode(), lambda _: member, EVENT.canonical())
    assert found == 1

    with pytest.raises(ValueError, match="validation error"):
        AuditEvent.parse(changed)


@given(st.text(max_size=200) | st.text("\\n", max_size=200))
def test_text_from_outside_is_short_printable_ascii_without_a_token(text: str) -> None:
    escaped, found = sanitize(text), sanitize(f"{text} eyJhbGciOiJSUzI1NiJ9.e30.c2ln")

    assert escaped.isprintable()
    assert escaped.encode("ascii").decode("unicode_escape") == text
    assert found.isascii()
    assert found.isprintable()
    assert len(found) <= 10 * 200
    assert not holds_token(found.encode())


def test_a_decision_without_rules_names_none() -> None:
    decided = Decided.of(Decision(allowed=True, reason=Reason.GRANTED), "1-a")
    assert decided.policy == Policy(version="1-a")


def test_a_caller_is_all_that_its_token_says_and_never_the_token() -> None:
    """Every field of a principal has its place, so that none is forgotten when one is added."""
    found = orjson.loads(orjson.dumps(Caller.of(principal(token="the-token"))))

    assert set(found) == {
        "subject", "party", "actors", "audience", "scopes", "groups", "token_id", "lineage", "transaction", "session",
        "client", "chain_started_at", "issued_at", "expires_at",
    }  # fmt: skip
    assert "the-token" not in str(found)


@pytest.mark.parametrize(
    "name", ["", "two words", 'a"b', "a\\b", "a\n", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\x1b[2J"]
)
@pytest.mark.parametrize("field", ["permission", "scopes", "kind", "attributes", "reason"])
def test_a_name_that_no_party_writes_is_told(field: str, name: str) -> None:
    access = EVENT.data
    assert isinstance(access, Access)
    names = {one: name if one == field else "name" for one in ("permission", "scopes", "kind", "attributes", "reason")}
    caller = replace(CALLER, scopes=("a", names["scopes"]))
    decided = Decided(allowed=False, reason=names["reason"])
    resource = Resource(kind=names["kind"], name=sanitize(""), attributes={names["attributes"]: sanitize(name)})
    request = Request(operation=sanitize(name), decision=decided, principal=caller, permission=names["permission"])
    told = {
        misnamed_field(replace(EVENT, data=one))
        for one in (request, replace(access, resource=resource, principal=caller))
    }

    assert told in ({field}, {field, ""})
    assert NAME.fullmatch(as_name(name))


def test_the_names_that_parties_write_are_taken() -> None:
    assert misnamed_field(EVENT) == ""
    repeated = Repeated(operation=Text("GET /card"), reason="granted", times=7)
    for reason, told in ("granted", ""), ("No", "reason"), ("n" * 65, "reason"):
        assert misnamed_field(replace(EVENT, data=Counts(repeated=(replace(repeated, reason=reason),)))) == told
    assert as_name("tool.read") == "tool.read"
    assert Caller.of(principal(scopes=frozenset({"a\tb", "tool.read"}))).scopes == ("a_b", "tool.read")


def test_a_reason_that_no_record_may_have_is_not_declared() -> None:
    with pytest.raises(ValueError, match="lower-case letters"):

        class _Odd(ReasonCode):
            ODD = "Out of stock", (409, None)


def test_what_has_no_form_of_a_record_is_known_before_it_is_written() -> None:
    alarm = Alarm(cause="unknown", party="spiffe://a.example/b", token_id="t", at=1)

    assert is_valid(alarm)
    for name in "a b", "", "a\n":
        assert not is_valid(replace(alarm, token_id=name))
    for at in -1, 2**60:
        assert not is_valid(replace(alarm, at=at))
