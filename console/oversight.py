"""Collects the records that operators watch: suspensions, revocations, changed rules, alarms, and refusals.  Pure.

Only the authority that does a thing says that it was done: the registry, the policy authority, or the ledger (alarms).
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Alarm, RegistryChange, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import short
from zerotrust.decision import Reason
from zerotrust.limits.bounded import Bounded
from zerotrust.registry.model import Registry

MOST, MOST_ALARMS, MOST_REFUSALS = 20, 5, 100
"""Kept changes of each kind, and kept alarms and refusals of each party."""
EARLY = 1.0
"""Seconds by which a party may refuse because of a drift before the registry has recorded that."""
WITHDRAWS, POLICY_CHANGES = {"suspend", "revoke", "drift"}, {"activate", "rollback", "in_force"}

Row = tuple[float, str, str, str, str]
"""When, in seconds since the epoch, what was done to what, by whom, and why.  An alarm's cause, its party, the
user whose token it is about, and that token."""


class Oversight:
    """The latest of each kind."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        """`registry` returns the version in force."""
        self._registry = registry
        self.changes, self.rules = (deque[Row](maxlen=MOST) for _ in range(2))
        self._alarms = defaultdict[str, deque[Row]](partial(deque, maxlen=MOST_ALARMS))
        self.asked = 0.0
        """When the registry took the order for the last withdrawal, in seconds since the epoch."""
        self.target, self.ended = "", 0.0
        """The target of that change, such as `agent/reader` or `user alice`; when that was reinstated, or 0."""
        self.took: dict[str, float] = {}
        """The seconds from then until each party first refused because of it, as the party itself says."""
        self.differences = Bounded[str, deque[str]](MOST)
        """The rules and answers that a version changed, by the version, such as `policy 2`."""
        self.admitted: dict[str, tuple[float, str]] = {}
        """When a call with a token was admitted last that came from or through each party, and by whom."""
        self._because = float("inf"), "", ""
        """Since when parties may refuse because of the last withdrawal, and how they then name it, and its cause."""
        self._refusals = defaultdict[str, deque[tuple[float, str]]](partial(deque, maxlen=MOST_REFUSALS))
        """By party, so that none displaces those of another: when, and the detail."""
        self._orders = Bounded[str, float](MOST)
        """When the registry took each request, by its span."""

    @property
    def alarms(self) -> list[Row]:
        """The last alarm about each party comes last, and before these the last but one about each party, and so on."""
        turns = [(-turn, row) for own in self._alarms.values() for turn, row in enumerate(reversed(own))]
        return [row for _, row in sorted(turns)]

    def take(self, event: AuditEvent) -> None:
        """Take a record."""
        data, at, name = event.data, event.time / MICROSECONDS, short(event.service)
        authorities = self._registry().authorities
        if isinstance(data, Alarm | RegistryChange):
            of_policies = isinstance(data, RegistryChange) and data.action in POLICY_CHANGES
            author = authorities.policy if of_policies else authorities.registry
            if name != (authorities.audit if isinstance(data, Alarm) else author):
                return  # control: told-by-its-authority
        decision, token = getattr(data, "decision", None), getattr(data, "principal", None)
        if isinstance(data, Request) and data.decision.allowed and token:
            for party in {short(one) for one in (token.party, *token.actors)} & self._registry().parties.keys():
                self.admitted[party] = max((min(at, time.time()), name), self.admitted.get(party, (0.0, "")))
        if isinstance(data, Alarm):
            party = short(data.party)
            alarms = self._alarms[party]  # control: alarms-by-party
            alarms.append((at, data.cause, party, data.subject or "", f"token {data.token_id}"))
        elif isinstance(data, RegistryChange):
            self._change(at, event.trace.span_id if event.trace else "", data)
        elif decision and decision.reason in (Reason.REVOKED, Reason.PEER_REVOKED):
            self._refusals[name].append((at, decision.detail or ""))
            self._note_refusal(name, at, decision.detail or "")
        elif name == authorities.registry and decision and decision.allowed and event.trace:
            self._orders[event.trace.span_id] = at

    def _change(self, at: float, span: str, data: RegistryChange) -> None:
        if data.action in POLICY_CHANGES and data.cause and not data.principal:
            policy, number, what = data.target.split(maxsplit=2)
            told = self.differences.setdefault(f"{policy} {number}", deque(maxlen=MOST))
            told.append(f"{what}: {data.cause}")
            return
        if not data.principal and not data.peer:  # Keycloak's, when anybody signs out; or no change (`in_force`)
            return
        by = data.principal.subject if data.principal else short(data.peer.id) if data.peer else ""
        if data.action in POLICY_CHANGES:
            self.rules.append((at, data.action, " ".join(data.target.split()[:2]), by, data.cause or ""))  # no digest
            return
        self.changes.append((at, data.action, data.target, by, data.cause or ""))
        if data.action in WITHDRAWS:
            kind, why, drifted = data.target.partition(" ")[0], data.cause or "", data.action == "drift"
            subject = "user" if kind == "user" else data.target  # the order has a user's name, and refusals have the id
            if data.action != "revoke":
                subject = f"party {self._registry().id(data.target)}"
            why = f"drift: {why}" if drifted else f"{why} (operator {by})"
            self.asked, self.took = self._orders.get(span, at), {}
            self.target, self.ended = data.target, 0.0
            self._because = self.asked - EARLY if drifted else self.asked, subject, why
            for name, refusals in self._refusals.items():
                for refused_at, detail in refusals:
                    self._note_refusal(name, refused_at, detail)
        elif data.action == "reinstate" and data.target == self.target:
            self.ended = at

    def _note_refusal(self, name: str, at: float, detail: str) -> None:
        since, subject, why = self._because
        of, _, cause = detail.partition(": ")
        if at >= since and subject in (of, of.partition(" ")[0]) and cause and why.startswith(cause):
            took = max(0.0, at - self.asked)
            self.took[name] = min(took, self.took.get(name, took))
