"""Formats the registry's answers for people.  Pure: returns objects that rich prints."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from zt.status import Status

_COLOURS = {"active": "green", "suspended": "red", "drifted": "yellow"}
_BRIEF = "%m-%d %H:%M"
SIGNED_OUT = "keycloak: logout"
"""The cause of a session that its user has ended, also by `zt`."""


def parties(found: Iterable[Mapping[str, Any]]) -> Table:
    """Return a table of parties, one line for each."""
    table = new_table("party", "state", "since", "why")
    for party in found:
        table.add_row(Text(party["name"]), _state(party), _since(party, _BRIEF), Text(party["cause"] or ""))
    return table


def revocations(found: Iterable[Mapping[str, Any]]) -> Iterator[Table | Text]:
    """Yield a table of revocations, one line for each, or a sentence if there are none.

    Nobody has acted where somebody signed out: such sessions are only counted.
    Revocations of a user's earlier tokens are summed up as a number of users: each change of credentials or groups adds
    one, and a new system sets the password of every user.
    """
    rows, earlier, signed_out = list[Mapping[str, Any]](), dict[str, set[str]](), 0
    for one in found:
        if (one["kind"], one["cause"]) == ("session", SIGNED_OUT):
            signed_out += 1
        elif one["kind"] == "before" and " " in one["name"]:
            earlier.setdefault(one["cause"], set()).add(one["name"].split(" ")[1])
        else:
            rows.append(one)
    if rows:
        table = new_table("what", "which", "since", "why")
        for one in rows:
            table.add_row(Text(one["kind"]), Text(one["name"]), _since(one, _BRIEF), Text(one["cause"]))
        yield table
    also = [f"{counted(signed_out, 'session')} that signed out"] if signed_out else []
    for cause, of in earlier.items():
        also.append(f"tokens that {counted(len(of), 'user')} had before a change ({cause})")
    if also:
        yield Text(f"{'Also refused:' if rows else 'Nothing is revoked except'} {', and '.join(also)}.")
    elif not rows:
        yield Text("Nothing is revoked.")


def sources(number: int, ages: Mapping[str, float], more: int) -> Text:
    """Return the number of changes, the number of revocations that are not listed, and how fresh the data is."""
    heard = ", ".join(f"{source} {age:.1f} s ago" for source, age in ages.items())
    older = f"{more} older versions are not listed.  " if more else ""
    return Text(f"{older}{number} changes so far.  The registry has news from {heard}.")


def party(found: Mapping[str, Any]) -> Table:
    """Return a table of one party, with its approval."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in (
        ("party", Text(found["name"])),
        ("id", Text(found["id"])),
        ("client", Text(found["keycloak"] + (", starts chains" if found["starts_chains"] else ""))),
        ("state", _state(found)),
        ("since", _since(found)),
        ("why", Text(_why(found))),
        ("may call", _lines(found["may_call"])),
        ("delegates", _lines(found["delegates"])),
        ("key", Text(found.get("key") or "")),
        ("code", Text(found["code"] or "")),
        ("card", Text(found["card"] or "")),
        ("tools", _lines(f"{tool} {digest}" for tool, digest in found["tools"].items())),
    ):
        if value.plain:
            table.add_row(name, value)
    return table


SEEN = {
    "verified": ("green", "answers, identity verified"),
    "expired": ("yellow", "answers, certificate expired"),
    "unverified": ("red", "answers, but does not prove who it is"),
    "unreachable": ("red", "no answer"),
    "unresolved": ("yellow", "not known: its name has no address here"),
}
"""The meaning of a state of `status` means, and its colour."""


def status(found: Iterable["Status"]) -> Table:
    """Return a table of who answers, one line for each."""
    table = new_table("party", "at", "state")
    for one in found:
        colour, means = SEEN[one.state]
        table.add_row(Text(one.name), Text(one.at), Text(means, colour))
    return table


def _state(found: Mapping[str, Any]) -> Text:
    return Text(found["state"], style=_COLOURS.get(found["state"], ""))


def _since(found: Mapping[str, Any], form: str = "%Y-%m-%d %H:%M:%S") -> Text:
    return Text(local_time(found["since"], form) if found["since"] else "")


def local_time(seconds: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a time in seconds since the epoch, in the local time zone."""
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone():{form}}"


def _why(found: Mapping[str, Any]) -> str:
    """Return the cause, and if only a reinstatement is left to do, the command for it."""
    cause = found["cause"] or ""
    if found["state"] != "suspended" or not cause.startswith("drift: "):
        return cause
    what = cause.removeprefix("drift: ")
    return f"it had drifted ({what}), and is as approved again: `zt party reinstate {found['name']}`"


def new_table(*columns: str, numbers: bool = False) -> Table:
    """Return an empty table, of which only the last column is wrapped, because the others are copied or compared.

    `numbers`: whether all columns but the first have numbers.
    """
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if numbers and column != columns[0] else "left"
        table.add_column(column, justify=justify, no_wrap=column != columns[-1], overflow="fold")
    return table


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 row, 2 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _lines(found: Iterable[str]) -> Text:
    return Text("\n".join(found))


def utc_time(seconds: int) -> str:
    """Return a time in words: seconds since the epoch."""
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%SZ}"
