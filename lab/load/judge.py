"""Holds every answer to the one rule: what is revoked is refused, within the bound.

Pure.  All times are of one clock, in seconds.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MARGIN = 0.1
"""Seconds by which two processes of one machine may see the order of things differently."""
UNANSWERED = "no answer"
REVOKED = "401 revoked"
NO = (REVOKED, "401 expired", "503 revocation_unknown", "503 issuer_unavailable", "no connection", UNANSWERED)
"""What a service says, or does, where it does not allow a call; everything else is a yes, also an error behind it."""


class Session(NamedTuple):
    """One session of one user."""

    user: str
    id: str = ""


class Call(NamedTuple):
    """One call, from the moment before it was sent to the moment after it was answered."""

    session: Session
    target: str
    """The service that was called, or what it was asked for."""
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
    covers: Callable[[Call], bool]
    asked: float
    """When somebody began to ask for it."""
    since: float = math.inf
    """When it was acknowledged, or had happened for sure."""
    until: float = math.inf
    """When somebody began to undo it."""
    over: float = math.inf
    """When it had been undone for sure."""

    def delay(self, call: Call) -> float | None:
        """Seconds from its beginning to an allowed call of those it covers; None for every other call."""
        if call.allowed and self.since < call.sent and call.answered < self.until and self.covers(call):
            return call.sent - self.since
        return None

    def explains(self, call: Call) -> bool:
        """Whether a call may have been refused for it."""
        return self.covers(call) and self.asked <= call.answered and call.sent <= self.over


@dataclass(slots=True)
class Evidence:
    """Everything that was seen."""

    bound: float
    """Seconds from a revocation's acknowledgement, or the beginning of a silence, to the last yes."""
    calls: list[Call] = field(default_factory=list)
    revocations: list[Ban] = field(default_factory=list)
    silences: list[Ban] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[Ban]:
        """The revocations that somebody answered for: nothing follows from the others."""
        return [ban for ban in self.revocations if ban.since < math.inf]

    def delays(self, bans: list[Ban]) -> dict[str, float]:
        """The longest, for each kind of ban that was seen."""
        worst: dict[str, float] = {}
        for ban in bans:
            found = [delay for call in self.calls if (delay := ban.delay(call)) is not None]
            worst[ban.what] = max([worst.get(ban.what, 0.0), *found])
        return worst

    def late(self, call: Call) -> Iterator[str]:
        """Each ban by which this call was allowed too late."""
        for ban in (*self.revocations, *self.silences):
            delay = ban.delay(call)
            if delay is not None and delay > self.bound + MARGIN:
                yield f"{call.target} said {call.answer} to {call.session.user}, {delay:.2f} s after: {ban.what}"

    def violations(self) -> Iterator[str]:
        """Each call that was allowed too late."""
        for call in self.calls:
            yield from self.late(call)

    def explains(self, call: Call) -> bool:
        """Whether a call was refused for a revocation, and rightly so."""
        return call.answer == REVOKED and any(ban.explains(call) for ban in self.revocations)
