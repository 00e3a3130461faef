"""The versions of the policies that decided a task, and whether they are still in force.  Pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

Found = Mapping[str, Any]
"""A version, or a decision, as `explanations` returns it."""


def deciding(names: Iterable[str], listed: Found) -> list[dict[str, Any]]:
    """Return, for each version named in records, what the policy authority's list says of it.

    `listed`: the answer of `GET /versions`, which has the newest first.  `until`: when the next version replaced it.
    """
    kept, replaced = dict[str, Found](), dict[int, float]()
    after = None
    for one in listed["versions"]:
        kept[f"{one['number']}-{one['digest'][:12]}"] = one
        if after:
            replaced[one["number"]] = after["at"]
        after = one

    def told(name: str) -> dict[str, Any]:
        one = kept.get(name)
        return {
            "name": name,
            "number": one and one["number"],
            "since": one and one["at"],
            "until": one and replaced.get(one["number"]),
            "in_force": one is not None and one["number"] == listed["active"],
            "active": listed["active"],
        }

    return [told(name) for name in dict.fromkeys(names)]


def by_whom(versions: Sequence[Found]) -> Iterator[Padding | Text]:
    """Yield which versions decided, and what is in force now where that is another one."""
    if len(versions) == 1:
        yield Text(f"Decided by version {versions[0]['name']} of the policies, {_life(versions[0])}.")
    elif versions:
        yield Text(f"Decided by {len(versions)} versions of the policies:")
        yield from (Padding(Text(f"{one['name']}, {_life(one)}"), (0, 0, 0, 2)) for one in versions)
    if versions and not any(one["in_force"] for one in versions):
        kept = [one["number"] for one in versions if one["number"]]
        compare = f": `zt policy diff {kept[0]}` says what has changed since version {kept[0]}" if kept else ""
        yield Text(f"Version {versions[0]['active']} is in force now{compare}.", "yellow")


def _life(one: Found) -> str:
    if one["in_force"]:
        return f"in force since {at(one['since'])}"
    if one["since"] is None:
        return "which the policy authority does not keep"
    return f"in force from {at(one['since'])}" + (f" until {at(one['until'])}" if one["until"] else "")


def at(seconds: float) -> str:
    """Return a time in seconds since the epoch, in the local time zone."""
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone():%Y-%m-%d %H:%M}"
