"""What operators look after, from records in any order."""

from dataclasses import replace

import pytest

from console.oversight import EARLY, MOST, MOST_REFUSALS, Oversight
from tests.support.records import CALLER
from tests.support.system import registry
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Peer, Trace
from zerotrust.audit.event_types import Alarm, Data, RegistryChange, Request
from zerotrust.audit.forms import MICROSECONDS, Text

REGISTRY = registry()
READER, TOOL, MODEL = REGISTRY.id("agent/reader"), "tool/documents", "inference"
OPERATOR = CALLER.subject
BY = f"(operator {OPERATOR})"


def entry(service: str, data: Data, at: float = 10.0, span: str = "1") -> AuditEvent:
    spans = Trace(trace_id="4b" * 16, span_id=span * 16)
    return AuditEvent(schema=1, time=round(at * MICROSECONDS), service=REGISTRY.id(service), data=data, trace=spans)


def refused(detail: str, reason: str = "revoked") -> Request:
    decision = Decided(allowed=False, reason=reason, detail=Text(detail))
    return Request(operation=Text("POST /parties/agent/reader/suspend"), decision=decision, principal=CALLER)


def order(path: str = "/parties/agent/reader/suspend") -> Request:
    decision = Decided(allowed=True, reason="granted")
    return Request(operation=Text(f"POST {path}"), decision=decision, principal=CALLER, permission="registry.admin")


def suspended(cause: str = "a theft") -> RegistryChange:
    return RegistryChange(action="suspend", target=Text("agent/reader"), cause=Text(cause), principal=CALLER)


def revoked(target: str) -> RegistryChange:
    return RegistryChange(action="revoke", target=Text(target), cause=Text("a theft"), principal=CALLER)


def taking(*entries: AuditEvent) -> Oversight:
    oversight = Oversight(lambda: REGISTRY)
    for one in entries:
        oversight.take(one)
    return oversight


def took(found: Oversight) -> dict[str, int]:
    """In milliseconds."""
    return {name: round(1000 * seconds) for name, seconds in found.took.items()}


def test_the_first_refusal_counts_from_the_order_whatever_comes_first_in_the_log() -> None:
    why = f"party {READER}: a theft {BY}"
    found = taking(
        entry(TOOL, refused(why), 10.3),
        entry(TOOL, refused(why), 10.2),
        entry(MODEL, refused(f"party {REGISTRY.id('agent/writer')}: a theft {BY}"), 10.1),
        entry("orchestrator", refused(why), 9.9),
        entry("authority/registry", order(), 10.0),
        entry(MODEL, order(), 10.1),  # which is not the registry's, though it says the same
        entry("authority/registry", refused("", "policy_denied"), 10.1),
        entry("authority/registry", suspended(), 10.4),  # after it has told Keycloak
        entry("authority/policy", refused(why), 10.5),
        entry(TOOL, refused(why), 10.6),
    )

    assert took(found) == {TOOL: 200, "authority/policy": 500}
    assert [*found.changes] == [(10.4, "suspend", "agent/reader", OPERATOR, "a theft")]


def test_an_order_that_the_registry_did_not_carry_out_neither_starts_nor_hides_a_stopwatch() -> None:
    why = f"party {READER}: a theft {BY}"
    carried_out = entry("authority/registry", order()), entry("authority/registry", suspended(), 10.1)
    found = taking(
        *carried_out, entry("authority/registry", order("/revocations"), 12, "2"), entry(TOOL, refused(why), 13)
    )

    assert (found.asked, took(found)) == (10.0, {TOOL: 3000})


def test_a_later_withdrawal_has_its_own_refusals_and_its_own_time() -> None:
    again = f"party {READER}: again {BY}"
    found = taking(
        entry("authority/registry", order(), 10, "1"),
        entry("authority/registry", suspended(), 10.1, "1"),
        entry(TOOL, refused(f"party {READER}: a theft {BY}"), 10.2),
        entry("authority/registry", order(), 20, "2"),
        entry(TOOL, refused(again), 20.1),
        entry("authority/registry", suspended("again"), 20.2, "2"),
        entry(MODEL, refused(f"party {READER}: a theft {BY}"), 20.3),
    )

    assert took(found) == {TOOL: 100}


@pytest.mark.parametrize(
    ("target", "detail", "counts"),
    [
        ("user alice", f"user a11ce: a theft {BY}", True),
        ("user alice", "user b0b: another theft", False),
        ("user alice", "user a11ce", False),
        ("user alice", "user a11ce: a th", True),  # of a long one, a record has the beginning
        ("session s", f"session s: a theft {BY}", True),
        ("session s", f"session s2: a theft {BY}", False),
        ("token t", f"token t: a theft {BY}", True),
        ("token t", f"session t: a theft {BY}", False),
    ],
)
def test_refusals_name_the_session_or_token_and_of_a_user_the_id(target: str, detail: str, *, counts: bool) -> None:
    found = taking(entry("authority/registry", revoked(target)), entry(TOOL, refused(detail), 10.5))

    assert took(found) == ({TOOL: 500} if counts else {})


def test_a_party_may_refuse_a_little_before_a_drift_is_on_record() -> None:
    attestation = Peer(id=REGISTRY.id("authority/attestation"))
    drift = RegistryChange(action="drift", target=Text("agent/reader"), cause=Text("main.py"), peer=attestation)
    why = f"party {READER}: drift: main.py"
    found = taking(
        entry(TOOL, refused(why), 10 - EARLY / 2), entry(MODEL, refused(why), 5), entry("authority/registry", drift)
    )

    assert took(found) == {TOOL: 0}
    assert [row[3] for row in found.changes] == ["authority/attestation"]


def test_the_last_withdrawal_has_ended_when_just_that_is_reinstated() -> None:
    def reinstated(target: str) -> AuditEvent:
        change = RegistryChange(action="reinstate", target=Text(target), principal=CALLER)
        return entry("authority/registry", change, 12)

    entries = entry("authority/registry", suspended()), reinstated("agent/writer")
    assert (taking(*entries).target, taking(*entries).ended) == ("agent/reader", 0)
    assert taking(*entries, reinstated("agent/reader")).ended == 12
    assert taking(*entries, reinstated("agent/reader"), entry("authority/registry", suspended(), 13)).ended == 0


def test_of_each_party_the_last_call_is_kept_that_was_admitted_from_or_through_it() -> None:
    good = replace(refused(""), decision=Decided(allowed=True, reason="granted"))
    called = replace(good, principal=replace(CALLER, party=READER, actors=(READER, REGISTRY.id("orchestrator"))))
    found = taking(
        entry(TOOL, called, 12),
        entry(MODEL, called, 11),
        entry(TOOL, replace(called, decision=refused("").decision), 13),
    )

    assert found.admitted == dict.fromkeys(("agent/reader", "orchestrator"), (12.0, TOOL))
    assert "agent/writer" not in taking(entry(TOOL, replace(good, principal=None))).admitted


def test_what_keycloak_does_at_each_sign_out_displaces_no_change_of_an_operator() -> None:
    ended = RegistryChange(action="revoke", target=Text("session s"), cause=Text("keycloak: signed out"))
    found = taking(entry("authority/registry", suspended()), *[entry("authority/registry", ended)] * 200)

    assert len(found.changes) == 1
    assert found.asked == 10.0


def test_changed_policies_and_alarms_are_told_apart() -> None:
    activated = RegistryChange(action="activate", target=Text("policy 2 0f"), cause=Text("why"), principal=CALLER)
    stated = RegistryChange(action="in_force", target=Text("policy 2 0f"))
    alarm = Alarm(cause="unknown", party=READER, token_id="t", at=1, subject="a11ce")
    found = taking(
        entry("authority/policy", activated), entry("authority/policy", stated), entry("authority/audit", alarm)
    )

    assert [*found.rules] == [(10.0, "activate", "policy 2", OPERATOR, "why")]
    assert [*found.alarms] == [(10.0, "unknown", "agent/reader", "a11ce", "token t")]


def test_what_a_version_changes_is_told_as_the_policy_authority_has_recorded_it() -> None:
    one, two = (
        RegistryChange(action="activate", target=Text(f"policy 2 {what}"), cause=Text("a -> b"))
        for what in ("rule read", "alice, through x: y z")
    )
    found = taking(entry("authority/policy", one), entry("authority/policy", two), entry(TOOL, one))

    assert {of: [*told] for of, told in found.differences.items()} == {
        "policy 2": ["rule read: a -> b", "alice, through x: y z: a -> b"]
    }
    assert not found.rules


def test_so_many_changes_are_kept_and_a_party_that_refuses_without_end_displaces_no_refusal_of_others() -> None:
    changes = [entry("authority/registry", suspended(str(number)), 10 + number) for number in range(MOST + 1)]
    first = entry(TOOL, refused(f"party {READER}: {MOST} {BY}"), 10.5 + MOST)
    flood = [entry(MODEL, refused(f"party {READER}: x"), 10 + number) for number in range(MOST_REFUSALS + 1)]
    found = taking(first, *flood, *changes)

    assert [row[4] for row in found.changes] == [str(number) for number in range(1, MOST + 1)]
    assert took(found) == {TOOL: 500}
    assert {len(kept) for kept in found._refusals.values()} == {1, MOST_REFUSALS}
