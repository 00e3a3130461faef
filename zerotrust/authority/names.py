"""Names of parties and of a task's tokens, for people.  Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zerotrust.audit.event_parts import Caller

IDS = r"([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a `jti` of Keycloak: letters for how the token was issued, and a UUID."""
Calls = Mapping[str, Sequence[str]]
"""The parties that each party may call, as the registry lists them."""


def short(party: str) -> str:
    """Return a party's name without its trust domain."""
    return party.removeprefix("spiffe://").partition("/")[2] if party.startswith("spiffe://") else party


def token_name(calls: Calls, token: "Caller") -> str:
    """Return a token's name: T0 for the user's own, T1 for the first exchange, then in the order of the registry.

    The ways through another party than the first one that the registry lists end with letters of its name: T1w, T2w.
    Tokens that went the same way have the same name.
    """
    path = [token.client, *(short(actor) for actor in reversed(token.actors)), short(token.audience)]
    if len(path) < 3:
        return "T0"
    known = [*calls.get(path[-2], ())]
    number = len(path) - 2
    if number > 1:
        number += known.index(path[-1]) if path[-1] in known else len(known)
    return f"T{number}{_suffix(calls, path[1], path[2])}"


def _suffix(calls: Calls, caller: str, called: str) -> str:
    """Return nothing for the first party that `caller` may call, otherwise as many letters as tell it from others."""
    siblings = [*calls.get(caller, ())]
    if siblings[:1] == [called]:
        return ""
    word, others = called.rpartition("/")[2], [name.rpartition("/")[2] for name in siblings if name != called]
    lengths = range(1, len(word) + 1)
    told_apart = (word[:length] for length in lengths if not any(other.startswith(word[:length]) for other in others))
    return next(told_apart, f"-{called}")
