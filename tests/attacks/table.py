"""The catalogue: each attack, the reason that goes on record, and the control that stops it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong function.  A text in its place says what stops the attack that is not ours to take away.
"""

from dataclasses import dataclass

from lab.without import Control
from zerotrust.policy import Reason
from zerotrust.service import Service

Missing = Control | type[Service]
"""One control that is taken away: a piece of source, or a service composed without it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack."""

    attack: str
    reason: Reason | None
    """None where there is nothing to refuse: what the attacker sends is not read at all."""
    stopped_by: tuple[Missing | tuple[Missing, ...] | str, ...]
    """Each stops it, or a variant of it, alone; those in a tuple stop it one behind the other."""

    @property
    def removable(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away."""
        ways = [by for by in self.stopped_by if not isinstance(by, str)]
        return [by if isinstance(by, tuple) else (by,) for by in ways]


def described(way: Missing | tuple[Missing, ...] | str) -> str:
    """How a control is told to a reader: the file and the function."""
    if isinstance(way, tuple):
        return " and ".join(map(described, way))
    return str(way) if isinstance(way, Control | str) else way.__name__


def _verify(take: str, put: str = "") -> Control:
    return Control("zerotrust.verify", "verify", take, put)


def _gate(function: str, take: str, put: str = "") -> Control:
    return Control("zerotrust.gate", function, take, put)


ADMIT = _gate("Gate.__call__", "receive = await self._admit(call, receive)")
"""The gate itself."""

ROWS: dict[int, Row] = {
    # A. credentials and HTTP
    1: Row("no token, at any door", Reason.NO_TOKEN, (ADMIT,)),
    # C. issuer, audience, time, claims
    29: Row("another issuer", Reason.ISSUER_MISMATCH, (_verify("if claims.iss != expected.issuer:"),)),
}
