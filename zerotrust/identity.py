"""A token as it arrived, and the principal that a verified one describes.  Pure."""

import re
from dataclasses import dataclass, field
from typing import Any, NewType

from zerotrust.errors import ZeroTrustError

UnverifiedToken = NewType("UnverifiedToken", str)
"""A token as it arrived; it may only be verified."""

MAX_ACTORS = 8
"""The longest chain of actors that is accepted."""
_NAME = re.compile(r"[\x21-\x7e]{1,512}")
"""An actor's name, like every other id in a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller that a verified token describes.  Only `token_validation.py` builds one."""

    subject: str
    """The user, the same on every hop; or the party itself, if it operates for no user."""
    party: str
    """The party that presents the token (`azp`): a SPIFFE ID, or the name of a public client."""
    actors: tuple[str, ...]
    """The parties that act for the user, the current actor first; empty if the user's own client calls."""
    audience: str
    scopes: frozenset[str]
    groups: frozenset[str]
    token_id: str
    lineage: tuple[str, ...]
    """The ids of the tokens that this token was exchanged from, the root first."""
    client: str
    """The initiating client: the party that the root token was issued to."""
    chain_started_at: int
    """When the root token was issued."""
    session: str
    """The user's session; "" if there is no user."""
    issued_at: int
    expires_at: int
    """Seconds since the epoch, like `issued_at` and `chain_started_at`."""
    key_thumbprint: str | None = None
    """The thumbprint of the key whose holder alone may use the token (RFC 7638), if the token names one."""

    token: str = field(repr=False, compare=False)
    """The token itself, to be exchanged for a narrower one.  Never forward it, and never log it."""

    @property
    def transaction(self) -> str:
        """The id of the root token, which all tokens of this transaction were derived from."""
        return self.lineage[0] if self.lineage else self.token_id

    @property
    def delegated(self) -> bool:
        """Whether a party acts for the user."""
        return bool(self.actors)


class BrokenChain(ZeroTrustError, ValueError):
    """An `act` claim is not a chain of named actors."""


def actor_chain(act: Any) -> tuple[str, ...]:
    """Return the actors of a (verified) `act` claim, the current one first (RFC 8693 section 4.1).

    Only the first actor counts for access decisions; the others are history, and can only be a reason to refuse.
    Other members of `act` are ignored.  Raises `BrokenChain` if it is not a chain.
    """
    actors: list[str] = []
    while act is not None:
        if not isinstance(act, dict) or not isinstance(act.get("sub"), str) or not _NAME.fullmatch(act["sub"]):
            raise BrokenChain("an actor without a name")
        actors.append(act["sub"])
        if len(actors) > MAX_ACTORS:
            break
        act = act.get("act")
    return tuple(actors)
