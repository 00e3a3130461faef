"""Who is asking: a bearer string as it arrived, and the principal that a verified one describes.  Pure."""

from dataclasses import dataclass, field
from typing import Any, NewType

from zerotrust.errors import ZeroTrustError

UnverifiedToken = NewType("UnverifiedToken", str)
"""A bearer string as it arrived: fit to be verified, and for nothing else."""

MAX_ACTORS = 8
"""The longest chain of actors that anybody here accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller a verified token describes.  Only `verify.py` builds one."""

    subject: str
    """The user, on every hop the same."""
    party: str
    """Who presents the token (`azp`): a SPIFFE ID, or the name of a public client."""
    actors: tuple[str, ...]
    """Who acts for the user, the current actor first; empty where the user's own client asks."""
    audience: str
    scopes: frozenset[str]
    groups: frozenset[str]
    token_id: str
    lineage: tuple[str, ...]
    """The ids of the tokens this one was exchanged from, root first."""
    client: str
    """The client by which the user came: whom the token was issued to that all of this comes from."""
    chain_started_at: int
    """When that was."""
    session: str
    issued_at: int
    expires_at: int
    """Seconds since the epoch, like `issued_at` and `chain_started_at`."""

    token: str = field(repr=False, compare=False)
    """To exchange for a narrower one.  Never to forward, and never to log."""

    @property
    def transaction(self) -> str:
        """The id of the token that everything in this transaction was derived from."""
        return self.lineage[0] if self.lineage else self.token_id

    @property
    def delegated(self) -> bool:
        """Whether somebody acts for the user."""
        return bool(self.actors)


class BrokenChain(ZeroTrustError, ValueError):
    """An `act` claim that is no chain of named actors."""


def actor_chain(act: Any) -> tuple[str, ...]:
    """Return the actors of a (verified) `act` claim, the current one first (RFC 8693 section 4.1).

    Only the first may decide anything; the others are history, good for refusing and for the record.
    Whatever else stands in an `act` is not read.  Raises `BrokenChain` when it is no chain.
    """
    actors: list[str] = []
    while act is not None:
        if not isinstance(act, dict) or not isinstance(act.get("sub"), str) or not act["sub"]:
            raise BrokenChain("an actor without a name")
        actors.append(act["sub"])
        if len(actors) > MAX_ACTORS:
            break
        act = act.get("act")
    return tuple(actors)
