"""Decodes access tokens and compares two of them, for people.  Pure.

It verifies no signature, which is said wherever a token is shown: it shows what a token says, not that this is true.
"""

import datetime as dt
import textwrap
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Group
from rich.table import Table
from rich.text import Text

from zerotrust.limits.strict_json import strict_object
from zt.names import short

MOST_TOKENS = 2
MAX_INPUT = 32_768
"""Characters of standard input: several times two tokens of eight actors."""

NARROWEST = 24
"""Columns for the meanings of claims, at least."""
EDGES = 11
"""Columns of a comparison that are no values: marks, padding and edges."""

NOT_VERIFIED = "Decoded only: the signature was not verified, so anybody may have written this."

MEANINGS = {
    "iss": "who issued it",
    "sub": "the user on whose behalf all of it happens; the same on every hop",
    "azp": "the party that it was issued to; no other party may present it",
    "aud": "the only party that accepts it",
    "scope": "what it allows, at most; an exchange can drop scopes, never add any",
    "groups": "the user's groups; policies decide by them",
    "act": "who acts for the user: the current actor first, the first actor last",
    "life": "from issue to expiry; an exchanged token never outlives its parent",
    "exp": "when it expires",
    "jti": "its id: `zt revoke token` revokes it and all tokens derived from it",
    "sid": "the user's session: `zt revoke session` revokes all tokens of it",
    "txn": "the transaction: the id of the first token, T0",
    "lineage": "the ids of the tokens that it was derived from, T0 first",
    "root": "the party that T0 was issued to, and when",
}
"""What each claim means, in the order in which claims are shown; `life` is computed."""


class TokenError(Exception):
    """The text is no token that can be decoded.  The text of the error says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The content of a token, unverified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def tokens_in(text: str) -> list[str]:
    """Return the one or two tokens of a text, separated by white space.  Raises `TokenError`."""
    if len(text) > MAX_INPUT:
        raise TokenError(f"More than {MAX_INPUT} characters: pipe in one token, or two to compare.")
    found = text.split()
    if not 1 <= len(found) <= MOST_TOKENS:
        raise TokenError(f"{len(found)} words on standard input: pipe in one token, or two to compare.")
    return found


def decode(token: str) -> Decoded:
    """Return what a token says.  Raises `TokenError` if it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError("That is no JWT: it does not have three parts with dots between them.")
    try:
        return Decoded(*(strict_object(urlsafe_b64decode(part + "==")) for part in parts[:2]))
    except ValueError as error:
        raise TokenError(f"That is no JWT: its header and its claims must be JSON objects ({error}).") from error


def rows(token: Decoded) -> dict[str, list[str]]:
    """Return the lines to show of each claim: all that `MEANINGS` explains, then the others."""
    claims = dict(token.claims)
    issued, expires = claims.pop("iat", None), claims.get("exp")
    if isinstance(issued, int) and isinstance(expires, int):
        claims["life"] = f"{expires - issued} s"
    known = [name for name in MEANINGS if name in claims]
    return {name: _lines(name, claims[name]) for name in [*known, *sorted(claims.keys() - MEANINGS.keys())]}


def one(token: Decoded, width: int) -> Group:
    """Return a token's claims, each with its meaning, in lines of this width.

    No value is broken, so that all can be copied.  If one is too long to have its meaning beside it, that is below.
    """
    found = rows(token)
    begin = _column(found)
    fit = [len(line) for lines in found.values() for line in lines if len(line) < width - begin - NARROWEST]
    beside = max(fit, default=0) + 1
    told: list[Text] = []
    for name, lines in found.items():
        meaning = textwrap.wrap(MEANINGS.get(name, ""), max(NARROWEST, width - begin - beside))
        if max(map(len, lines), default=0) < beside:
            both = list(zip_longest(lines, meaning, fillvalue=""))
        else:
            both = [*((line, "") for line in lines), *(("", line) for line in meaning)]
        said = [f"{value:{beside}}{means}".rstrip() for value, means in both]
        told += _named(name, begin, map(Text, said))
    return Group(*told)


def compared(first: Decoded, second: Decoded, width: int) -> Table | Group:
    """Return two tokens' claims: what the second has no more is struck through, what is new has a plus.

    They are side by side if that fits into lines of this width.  Otherwise each value has a line of its own: none is
    broken.
    """
    before, after = rows(first), rows(second)
    claims = {
        name: (before.get(name, []), after.get(name, []))
        for name in sorted(before.keys() | after.keys(), key=[*before, *after].index)
    }
    longest = [max((len(line) for lines in found.values() for line in lines), default=0) for found in (before, after)]
    if max(map(len, claims), default=0) + sum(longest) + EDGES <= width:
        table = _table("claim", "first", "second")
        for name, (old, new) in claims.items():
            dropped = [_kept(line) if line in new else _dropped(line) for line in old]
            table.add_row(Text(name), Text("\n").join(dropped), Text("\n").join(_of_second(old, new)))
        return table
    told = [Text("- only in the first   + only in the second", "dim")]
    for name, (old, new) in claims.items():
        gone = [_dropped(line) for line in old if line not in new]
        told += _named(name, _column(claims), [*gone, *_of_second(old, new)])
    return Group(*told)


def _named(name: str, begin: int, lines: Iterable[Text]) -> Iterator[Text]:
    """Yield lines, the first one with a name before it, which are never broken."""
    for number, line in enumerate(lines):
        yield Text.assemble(("" if number else name).ljust(begin), line, no_wrap=True, overflow="ignore")


def _column(found: Mapping[str, object]) -> int:
    return max(map(len, found), default=0) + 2


def _of_second(old: Sequence[str], new: Iterable[str]) -> list[Text]:
    return [_kept(line) if line in old else _added(line) for line in new]


def _kept(line: str) -> Text:
    return Text(f"  {line}")


def _dropped(line: str) -> Text:
    return Text(f"- {line}", "red strike")


def _added(line: str) -> Text:
    return Text(f"+ {line}", "green")


def changes(first: Decoded, second: Decoded) -> dict[str, dict[str, list[str]]]:
    """Return what was dropped and what was added, by claim; claims that are equal are left out."""
    before, after = rows(first), rows(second)
    found = {}
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, []), after.get(name, [])
        if old != new:
            found[name] = {
                "dropped": [line for line in old if line not in new],
                "added": [line for line in new if line not in old],
            }
    return found


def _lines(name: str, value: Any) -> list[str]:
    match name, value:
        case "scope", str():
            found = value.split()
        case "act", dict():
            found = _actors(value)
        case "exp" | "nbf" | "auth_time", int() if 0 <= value < 2**33:
            found = [f"{dt.datetime.fromtimestamp(value, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"]
        case _, dict():
            found = [f"{key} {short(str(part))}" for key, part in value.items()]
        case _, list():
            found = [short(str(part)) for part in value]
        case _:
            found = [short(str(value))]
    return found


def _actors(act: Any) -> list[str]:
    found: list[str] = []
    while isinstance(act, dict):  # the depth of the JSON is bounded
        found.append(short(str(act.get("sub"))))
        act = act.get("act")
    return found


def _table(*columns: str) -> Table:
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0), pad_edge=False, show_lines=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
