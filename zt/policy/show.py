"""Formats what the policy authority answers for people.  Pure: returns objects that rich prints."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from zt.show import local_time, new_table

Found = Mapping[str, Any]


def versions(found: Found) -> Table:
    """Return a table of versions, one line for each."""
    shown = new_table("version", "since", "by", "why")
    for one in found["versions"]:
        active = one["number"] == found["active"]
        number = Text(f"{one['number']}{' in force' if active else ''}", "green" if active else "")
        by = f"{one['by'][:8]}…" if one["by"] else "setup"
        again = f" (as version {one['of']})" if one["of"] else ""
        shown.add_row(number, Text(local_time(one["at"])), Text(by), Text(f"{one['why']}{again}"))
    return shown


def version(found: Found, files: Mapping[str, str]) -> str:
    """Return a version as one text: a head, and each file."""
    head = f"version {found['number']} of {local_time(found['at'])}: {found['why']}\nsha256 {found['digest']}\n"
    return "\n".join([head, *(f"==> {name} <==\n{text}" for name, text in files.items())])


def test_result(found: Found) -> Iterator[RenderableType]:
    """Yield which answers differ from those in force; then whether the policies are fit, and why not."""
    problems = found["problems"]
    if found["same"] and not problems:
        yield Text(f"These are the policies in force, version {found['active']}.", "green")
        return
    if problems and found["answers"] is None:
        yield Text("Which answers change is known when the problems are corrected.", "yellow")
    else:
        yield from _answers(found)
    if not problems:
        yield Text("These policies are fit to be published.", "green")
        return
    further = found.get("further_problems", 0)
    number = "1 problem" if len(problems) == 1 else f"{len(problems) + further} problems"
    yield Text(f"These policies may not be published ({number}):", "red")
    yield from (Text(f"- {one}") for one in problems)
    if further:
        yield Text(f"and {further} more.")


def activation(found: Found, changed: Found) -> Iterator[RenderableType]:
    """Yield that a version is in force, and the answers that have changed."""
    again = f" It has the text of version {found['of']}." if found["of"] else ""
    yield Text(f"Version {found['number']} is in force.{again}", "green")
    yield from _answers(changed)


def _answers(found: Found) -> Iterator[RenderableType]:
    if (told := found["answers"]) is None:
        yield Text("Which answers change is not known: a published version no longer fits the registry.", "yellow")
        return
    rows = [row for row in told if row["before"].partition(" ")[0] != row["after"].partition(" ")[0]]
    if not rows:
        yield Text("No answer in the decision table changes.")
    else:
        yield Text(
            f"{len(rows)} answer{'s'[: len(rows) - 1]} of the decision table change{'s' if len(rows) == 1 else ''}:"
        )
        for row in rows:
            change = (row["before"], "red"), " -> ", (row["after"], "green")
            yield Text(f"- {row['user']}, through {row['through']}, with {row['scopes'] or 'no scope'}:")
            yield Text.assemble(f"  {row['does']} {row['at']}: ", *change)
    if more := found.get("more"):
        yield Text(f"{more} more rows with other answers are not shown: compare smaller steps.", "red")
    if same := len(told) - len(rows):
        number = "1 row" if same == 1 else f"{same} rows"
        yield Text(f"Only the rule or the reason differs: {number} (`--json`).")
