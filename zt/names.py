"""Names of parties and of a task's tokens, for people.  Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zerotrust.audit.event_parts import Caller

IDS = r"([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a `jti` of Keycloak: letters for how the token was issued, and a UUID."""
Path = tuple[str, ...]
"""The parties on a token's way: the user's client, each actor, the audience."""
Calls = Mapping[str, Sequence[str]]
"""The parties that each party may call, as the registry lists them."""


def short(party: str) -> str:
    """Return a party's name without its trust domain."""
    return party.removeprefix("spiffe://").partition("/")[2] if party.startswith("spiffe://") else party


def path_of(token: "Caller") -> Path:
    """Return a token's way."""
    return (token.client, *(short(actor) for actor in reversed(token.actors)), short(token.audience))


def token_names(calls: Calls, tokens: Iterable["Caller"]) -> dict[tuple[str, Path], str]:
    """Return a name for each token, by its id and its way.

    No two have the same: further tokens of the same way get a number.
    """
    ids: dict[Path, dict[str, None]] = {}
    for token in tokens:
        ids.setdefault(path_of(token), {})[token.token_id] = None
    found: dict[tuple[str, Path], str] = {}
    taken: dict[str, int] = {}
    for path, name in names_of(calls, ids).items():
        for token_id in ids[path]:
            taken[name] = number = taken.get(name, 0) + 1
            found[token_id, path] = name if number == 1 else f"{name}-{number}"
    return found


def names_of(calls: Calls, paths: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each path: T0, then T1 and so on for the way through the first party that the registry lists.

    The ways through another party are numbered on their own, and end with the first letters of its name: T1w, T2w.
    """

    def place(path: Path) -> tuple[tuple[str, ...], int, list[int]]:
        steps = [_order(calls, caller).get(called, len(calls)) for caller, called in pairwise(path)]
        return path[:1], steps[1] if len(steps) > 1 else -1, [len(path), *steps]

    names: dict[Path, str] = {}
    numbers: dict[Path, int] = {}
    for path in sorted(paths, key=place):
        way = path[:3]
        numbers[way] = numbers.get(way, -1 if len(path) == 2 else 0) + 1
        names[path] = f"T{numbers[way]}{_suffix(calls, *path[1:3]) if len(path) > 2 else ''}"
    return names


def _order(calls: Calls, caller: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(calls.get(caller, ()))}


def _suffix(calls: Calls, caller: str, called: str) -> str:
    """Return nothing for the first party that `caller` may call, otherwise as many letters as tell it from others."""
    siblings = _order(calls, caller)
    if siblings.get(called) == 0:
        return ""
    word, others = called.rpartition("/")[2], [name.rpartition("/")[2] for name in siblings if name != called]
    lengths = range(1, len(word) + 1)
    told_apart = (word[:length] for length in lengths if not any(other.startswith(word[:length]) for other in others))
    return next(told_apart, f"-{called}")
