"""What operators look after, from records in any order."""

from console.oversight import MOST, MOST_REFUSALS, SAME, Change, Oversight, Withdrawal
from tests.support.records import CALLER
from tests.support.system import registry
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Peer, Policy
from zerotrust.audit.event_types import Alarm, Data, RegistryChange, Request
from zerotrust.audit.forms import MICROSECONDS, Text
from zerotrust.audit.record import GENESIS
from zerotrust.decision import Rule

REGISTRY = registry()
READER, TOOL = REGISTRY.id("agent/reader"), "tool/documents"
OPERATOR = CALLER.subject


def entry(service: str, data: Data, at: float = 10.0) -> bytes:
    time = round(at * MICROSECONDS)
    event = AuditEvent(schema=1, time=time, service=REGISTRY.id(service), data=data).canonical()
    return b'{"event":%b,"n":1,"prev":"%b"}' % (event, GENESIS.head.encode())


def refused(detail: str, version: str = "1-0123456789ab") -> Request:
    decision = Decided(allowed=False, reason="revoked", detail=Text(detail), policy=Policy(version=version))
    return Request(operation=Text("POST /mcp"), decision=decision, principal=CALLER)


def suspended(cause: str = "a theft") -> RegistryChange:
    return RegistryChange(action="suspend", target=Text("agent/reader"), cause=Text(cause), principal=CALLER)


def taking(*entries: bytes) -> Oversight:
    oversight = Oversight(registry)
    for number, one in enumerate(entries):
        oversight.take(number, one)
    return oversight


def test_the_first_refusal_counts_whatever_comes_first_in_the_log() -> None:
    why = f"party {READER}: a theft (operator {OPERATOR})"
    found = taking(
        entry(TOOL, refused(why), 10.3),
        entry(TOOL, refused(why), 10.2),
        entry("inference", refused(f"party {REGISTRY.id('agent/writer')}: another"), 10.1),
        entry("orchestrator", refused(why), 9.9),
        entry("authority/registry", suspended()),
    )

    assert found.first_refusals() == {TOOL: (200, "its record")}
    assert [*found.changes] == [Change(10.0, "suspend", "agent/reader", "a theft", OPERATOR)]


def test_a_withdrawal_that_was_asked_for_here_is_not_counted_anew_when_its_record_comes() -> None:
    found = Oversight(registry)
    found.withdrawals.append(asked := Withdrawal(9.9, "party", READER, f"a theft (operator {OPERATOR})"))
    found.take(1, entry("authority/registry", suspended()))
    assert [*found.withdrawals] == [asked]

    found.take(2, entry("authority/registry", suspended(), 10 + SAME))
    assert len(found.withdrawals) == 2


def test_a_user_is_known_by_the_cause_because_refusals_name_the_id() -> None:
    change = RegistryChange(action="revoke", target=Text("user alice"), cause=Text("a theft"), principal=CALLER)
    why = f"user a11ce: a theft (operator {OPERATOR})"
    found = taking(entry("authority/registry", change), entry(TOOL, refused(why), 10.5))
    assert found.first_refusals() == {TOOL: (500, "its record")}

    other = taking(entry("authority/registry", change), entry(TOOL, refused("user b0b: another theft"), 10.5))
    assert other.first_refusals() == {}


def test_what_keycloak_does_at_each_sign_out_displaces_no_change_of_an_operator() -> None:
    ended = RegistryChange(action="revoke", target=Text("session s"), cause=Text("keycloak: signed out"))
    found = taking(entry("authority/registry", suspended()), *[entry("authority/registry", ended)] * 200)

    assert len(found.changes) == len(found.withdrawals) == 1


def test_drift_changed_policies_alarms_and_versions_are_told_apart() -> None:
    attestation = Peer(id=REGISTRY.id("authority/attestation"))
    drift = RegistryChange(action="drift", target=Text("agent/writer"), cause=Text("main.py"), peer=attestation)
    activated = RegistryChange(action="activate", target=Text("policy 2 0f"), cause=Text("why"), principal=CALLER)
    stated = RegistryChange(action="in_force", target=Text("policy 2 0f"))
    alarm = Alarm(cause="unknown", party=READER, token_id="t", at=1)
    found = taking(
        entry("authority/registry", drift),
        entry("authority/policy", activated),
        entry("authority/policy", stated),
        entry("authority/audit", alarm),
        entry(TOOL, refused("x", "1-0123456789ab"), 11),
        entry(TOOL, refused("x", "2-0123456789ab"), 12),
    )
    use, read = Rule("Who may.", frozenset()), Rule("Who may read.", frozenset())
    found.note_rules("1-0", {"read": read, "use": use})
    found.note_rules("2-0", {"read": read._replace(conditions="unless"), "use": use})

    assert [one.by for one in found.changes] == ["authority/attestation"]
    assert [one.action for one in found.rules] == ["activate"]
    assert len(found.alarms) == 1
    assert found.decides_by == {TOOL: ("2-0123456789ab", 12.0)}
    assert found.differences["2"] == "read"


def test_so_many_changes_and_refusals_are_kept() -> None:
    changes = [entry("authority/registry", suspended(str(number)), 10 + number) for number in range(MOST + 1)]
    refusals = [entry(TOOL, refused("x"), 10 + number) for number in range(MOST_REFUSALS + 1)]
    found = taking(*changes, *refusals)

    assert [len(found.changes), len(found.refusals)] == [MOST, MOST_REFUSALS]
    assert [found.changes[0].cause, found.refusals[0][1]] == ["1", 11.0]
