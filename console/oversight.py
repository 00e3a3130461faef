"""What operators look after, in the records: withdrawals, changed rules, alarms, and who refuses since when.  Pure.

Only the authority that does a thing says that it was done: the registry, the policy authority, or the ledger (alarms).
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Alarm, RegistryChange
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.log.leaf import Heads, Record, leaf_of, outline
from zerotrust.authority.names import short
from zerotrust.decision import Reason, Rule
from zerotrust.registry.model import Registry

MOST, MOST_REFUSALS = 100, 1_000
"""Changes of each kind, and refusals, that are kept: a caller has three refusals a second recorded in full."""
SAME = 30.0
"""Seconds within which the record of a change comes that was asked for here."""
WITHDRAWS, POLICY_CHANGES = {"suspend", "revoke", "drift"}, {"activate", "rollback", "in_force"}
REVOKED = {str(Reason.REVOKED), str(Reason.PEER_REVOKED)}

_VERSION = re.compile(rb'"version":"([1-9][0-9]{0,8}-[0-9a-f]{12})"')
_EVENTS = re.compile(rb'"type":"(?:administration|alarm)"|"reason":"(?:%s)"' % "|".join(REVOKED).encode())


@dataclass(frozen=True, slots=True)
class Change:
    """What an authority has recorded."""

    at: float
    """In seconds since the epoch."""
    action: str
    target: str
    cause: str
    by: str
    """The subject of an operator; or the party, if no person made the change."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What is refused since a moment."""

    asked: float
    """When that was asked for, in seconds since the epoch."""
    kind: str
    """A party, a user, a session or a token."""
    name: str
    """Its identifier; of a user the name."""
    cause: str
    """As refusals have it."""

    def explains(self, detail: str) -> bool:
        """Return whether a refusal is for this reason; `detail`: as `Revocations` has it, or its beginning."""
        subject, _, cause = detail.partition(": ")
        user = self.kind == "user" and subject.startswith("user ") and cause and self.cause.startswith(cause)
        return bool(user) or subject == f"{self.kind} {self.name}"


class Oversight:
    """The latest of each kind."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        """`registry` returns the one in force."""
        self._registry = registry
        self.changes, self.rules, self.alarms = (deque[Change](maxlen=MOST) for _ in range(3))
        self.withdrawals = deque[Withdrawal](maxlen=MOST)
        self.refusals = deque[tuple[str, float, str, str]](maxlen=MOST_REFUSALS)
        """Who refused, when, why (empty: not known), and who saw it."""
        self.decides_by: dict[str, tuple[str, float]] = {}
        """The version of the policies by which each party decides, and since when."""
        self.differences: dict[str, str] = {}
        """The rules that differ from those before, by the version."""
        self._known: tuple[str, Mapping[str, Rule]] = "", {}

    def note_rules(self, version: str, rules: Mapping[str, Rule]) -> None:
        """Note the rules that this party decides by now."""
        before, old = self._known
        if version != before:
            self._known = version, rules
            differ = [id_ for id_ in sorted({*old, *rules}) if old.get(id_) != rules.get(id_)]
            self.differences[version.partition("-")[0]] = ", ".join(differ) if before else ""

    def take(self, _number: int, entry: bytes) -> None:
        """Take an entry of the log.  Only what tells something new is parsed."""
        try:
            place = outline(entry)
            if isinstance(place, Heads):
                return
            version = _VERSION.search(entry)
            new = version and version[1].decode() != self.decides_by.get(short(place.service), ("", 0.0))[0]
            if (new or _EVENTS.search(entry)) and isinstance(leaf := leaf_of(entry), Record):
                self._take(leaf.event)
        except (ValueError, LookupError):  # no record of this schema, or about a party that is no longer registered
            return

    def _take(self, event: AuditEvent) -> None:
        name, at = short(event.service), event.time / MICROSECONDS
        data, decision = event.data, getattr(event.data, "decision", None)
        if isinstance(data, Alarm | RegistryChange) and event.service != self._author(data):
            return  # control: told-by-its-authority
        if isinstance(data, Alarm):
            self.alarms.append(Change(at, data.cause, data.party, f"token {data.token_id}", data.subject or ""))
        elif isinstance(data, RegistryChange):
            self._change(at, data)
        elif decision and decision.reason in REVOKED and decision.detail:
            self.refusals.append((name, at, decision.detail, "its record"))
        if decision and decision.policy and decision.policy.version != self.decides_by.get(name, ("", 0.0))[0]:
            self.decides_by[name] = decision.policy.version, at

    def _author(self, data: Alarm | RegistryChange) -> str:
        registry = self._registry()
        if isinstance(data, Alarm):
            return registry.id(registry.authorities.audit)
        of_policies = data.action in POLICY_CHANGES
        return registry.id(registry.authorities.policy if of_policies else registry.authorities.registry)

    def _change(self, at: float, data: RegistryChange) -> None:
        if not data.principal and not data.peer:  # Keycloak, when anybody signs out; or no change (`in_force`)
            return
        by = data.principal.subject if data.principal else short(data.peer.id) if data.peer else ""
        change = Change(at, data.action, data.target, data.cause or "", by)
        (self.rules if data.action in POLICY_CHANGES else self.changes).append(change)
        if data.action in WITHDRAWS:
            kind, _, name = data.target.rpartition(" ")
            cause = f"{change.cause} (operator {by})" if data.principal else change.cause
            found = Withdrawal(at, kind or "party", name if kind else self._registry().id(name), cause)
            mine = [one for one in self.withdrawals if (one.kind, one.name) == (found.kind, found.name)]
            if not any(at - one.asked < SAME for one in mine):
                self.withdrawals.append(found)

    def first_refusals(self) -> dict[str, tuple[int, str]]:
        """Return how many milliseconds after the last withdrawal each party first refused for it, and who saw that."""
        if not self.withdrawals:
            return {}
        last, found = self.withdrawals[-1], dict[str, tuple[int, str]]()
        for name, at, detail, seen_by in self.refusals:
            took = round((at - last.asked) * 1000)
            if 0 <= took < found.get(name, (took + 1, ""))[0] and (not detail or last.explains(detail)):
                found[name] = took, seen_by
        return found
