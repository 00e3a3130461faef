"""Checks every answer: after a revocation, calls have to be refused within the bound.

Pure.  All times are of one clock, in seconds.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MARGIN = 0.1
"""Seconds by which two processes of one machine may disagree about the order of events."""
UNANSWERED = "no answer"
REVOKED = "401 revoked"
UNAVAILABLE = "503 peer_unavailable"
"""What a caller tells of a party that was just reinstated, and does not know yet who is revoked."""
NO = (REVOKED, "401 expired", "503 revocation_unknown", "503 issuer_unavailable", "no connection", UNANSWERED)
"""The answers by which a call is refused; any other answer, also an error of a handler, means that it was allowed."""


class Session(NamedTuple):
    """One session of one user."""

    user: str
    id: str = ""


class Call(NamedTuple):
    """One call, with the times just before it was sent and just after it was answered."""

    session: Session
    target: str
    """The service that was called, or what was requested."""
    sent: float
    answered: float
    answer: str

    @property
    def allowed(self) -> bool:
        """Whether it was allowed."""
        return self.answer not in NO


@dataclass(slots=True)
class Ban:
    """A reason to refuse certain calls: a revocation, or the silence of a source."""

    what: str
    covers: Callable[[Call], bool]
    asked: float
    """When it was requested."""
    since: float = math.inf
    """When it was acknowledged, or had certainly happened."""
    until: float = math.inf
    """When it began to be undone."""
    over: float = math.inf
    """When it was certainly undone."""

    def delay(self, call: Call) -> float | None:
        """Return the seconds from its beginning to a call that it covers and that was allowed; None for other calls."""
        if call.allowed and self.since < call.sent and call.answered < self.until and self.covers(call):
            return call.sent - self.since
        return None

    def explains(self, call: Call) -> bool:
        """Return whether a call may have been refused for it."""
        return self.covers(call) and self.asked <= call.answered and call.sent <= self.over


@dataclass(slots=True)
class Evidence:
    """All calls, revocations and faults of a run."""

    bound: float
    """Seconds from a revocation's acknowledgement, or the beginning of a silence, in which calls may be allowed."""
    calls: list[Call] = field(default_factory=list)
    revocations: list[Ban] = field(default_factory=list)
    silences: list[Ban] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[Ban]:
        """The revocations that were acknowledged: only they have to take effect."""
        return [ban for ban in self.revocations if ban.since < math.inf]

    def delays(self, bans: list[Ban]) -> dict[str, float]:
        """Return the longest delay of each kind of ban."""
        worst: dict[str, float] = {}
        for ban in bans:
            found = [delay for call in self.calls if (delay := ban.delay(call)) is not None]
            worst[ban.what] = max([worst.get(ban.what, 0.0), *found])
        return worst

    def late(self, call: Call) -> Iterator[str]:
        """Yield a message for each ban after which this call was allowed too late."""
        for ban in (*self.revocations, *self.silences):
            delay = ban.delay(call)
            if delay is not None and delay > self.bound + MARGIN:
                yield f"{call.target} answered {call.answer} to {call.session.user}, {delay:.2f} s after: {ban.what}"

    def violations(self) -> Iterator[str]:
        """Yield a message for each call that was allowed too late."""
        for call in self.calls:
            yield from self.late(call)

    def explains(self, call: Call) -> bool:
        """Return whether a call was rightly refused for a revocation."""
        explaining = [ban for ban in self.revocations if ban.explains(call)]
        if call.answer == UNAVAILABLE:
            return any(ban.until <= call.answered for ban in explaining)
        return call.answer == REVOKED and bool(explaining)
