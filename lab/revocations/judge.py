"""Holds every answer that was seen to the one rule.  Pure.  All times are of one clock, in seconds."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MARGIN = 0.1
"""Seconds by which two processes of one machine may see the order of things differently."""
UNANSWERED = "no answer"
NO = ("401 revoked", "401 expired", "503 revocation_unknown", "503 issuer_unavailable", "no connection", UNANSWERED)
"""What a service says, or does, where it does not allow a call; everything else is a yes, also an error behind it."""


class Chain(NamedTuple):
    """Tokens of one session of one user, in use at every service."""

    user: str
    session: str


class Call(NamedTuple):
    """One call, from the moment before it was sent to the moment after it was answered."""

    chain: Chain
    service: str
    sent: float
    answered: float
    answer: str

    @property
    def allowed(self) -> bool:
        """Whether it was let in."""
        return self.answer not in NO


@dataclass(slots=True)
class Ban:
    """Something after which certain calls must not be allowed: a revocation, or the silence of a source."""

    what: str
    covers: Callable[[Chain, str], bool]
    """Which calls: by their chain, and the service that they go to."""
    since: float
    """When it was acknowledged, or had happened for sure."""
    until: float = math.inf
    """When somebody began to undo it."""

    def delay(self, call: Call) -> float | None:
        """Seconds from its beginning to an allowed call of those it covers; None for every other call."""
        if call.allowed and self.since < call.sent and call.answered < self.until:
            return call.sent - self.since if self.covers(call.chain, call.service) else None
        return None


@dataclass(slots=True)
class Evidence:
    """Everything that was seen."""

    bound: float
    """The registry's `freshness.revocations`."""
    calls: list[Call] = field(default_factory=list)
    revocations: list[Ban] = field(default_factory=list)
    silences: list[Ban] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    not_acknowledged: int = 0
    """Revocations that whoever was asked did not answer for: nothing follows from them."""

    def delays(self, bans: list[Ban]) -> dict[str, float]:
        """The longest, for each kind of ban that was seen."""
        worst: dict[str, float] = {}
        for ban in bans:
            found = [delay for call in self.calls if (delay := ban.delay(call)) is not None]
            worst[ban.what] = max([worst.get(ban.what, 0.0), *found])
        return worst

    def violations(self) -> Iterator[str]:
        """Each call that was allowed too late."""
        for ban in (*self.revocations, *self.silences):
            for call in self.calls:
                delay = ban.delay(call)
                if delay is not None and delay > self.bound + MARGIN:
                    yield f"{call.service} said {call.answer} to {call.chain.user}, {delay:.2f} s after: {ban.what}"
