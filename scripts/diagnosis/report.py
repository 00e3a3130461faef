"""The report: the cause first, then one entry for each check.  Pure."""

import textwrap
from collections.abc import Collection, Sequence

from scripts.diagnosis.verdict import State, Verdict, cause

WIDTH = 79
MOST = 300
"""Characters of one text: a log's line can be long."""
COLOURS = {State.OK: "32", State.NOTE: "33", State.SKIPPED: "2", State.WRONG: "31"}
_START = {
    "containers": "docker compose up --wait",
    "local": "make demo",
}


def report(verdicts: Sequence[Verdict], checked: Collection[str], *, running: bool, colour: bool) -> str:
    """Return the whole text."""
    found = cause(verdicts)
    if found:
        lines = [*_field("Cause:", f"{found.about}: {found.said}"), *_field("Repair:", found.repair)]
        if any(verdict.state is State.WRONG and verdict is not found for verdict in verdicts):
            lines += _field("", "Then ask again: what else is wrong below may be its consequence.")
    elif running:
        lines = ["All is well."]
    else:
        start = " or ".join(f"`{command}`" for way, command in _START.items() if way in checked)
        lines = [f"Nothing hinders a start: {start}"]
    return "\n".join([*lines, "", *(line for verdict in verdicts for line in _entry(verdict, colour=colour)), ""])


def _field(name: str, text: str) -> list[str]:
    return _wrapped(f"{name:<8}", text)


def _entry(verdict: Verdict, *, colour: bool) -> list[str]:
    text = verdict.said
    if verdict.repair and verdict.state is State.NOTE:
        text += f"; {verdict.repair.split('   ')[0]}"
    lines = _wrapped(f"{verdict.state:<6} {verdict.about:<13}", text)
    if colour:
        lines[0] = f"\033[{COLOURS[verdict.state]}m{verdict.state:<6}\033[0m{lines[0][6:]}"
    return lines


def _wrapped(first: str, text: str) -> list[str]:
    """Return a text in lines of at most `WIDTH`, without what a terminal would obey."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    clean = clean if len(clean) <= MOST else f"{clean[: MOST - 4]} ..."
    indent = " " * len(first)
    lines = textwrap.wrap(
        clean, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True
    )
    return lines or [first.rstrip()]
