"""The checks of the walkthrough: each attempt with its expected and its actual answer, and the counts."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from rich.table import Table
from rich.text import Text

from start.program import console, say, showing_progress

ALLOWED = "must be allowed"
"""In the place of the control that stops an attempt: it must succeed, or the refusals beside it would prove nothing."""

WIDEST = 24
"""Columns for the controls; longer names are broken between words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, with its expected and its actual answer."""

    who: str
    what: str
    control: str
    """The control that stops it, or `ALLOWED`."""
    expected: str
    answered: str

    @property
    def as_expected(self) -> bool:
        return self.answered == self.expected


@dataclass(slots=True)
class Checks:
    """All attempts so far."""

    made: list[Attempt] = field(default_factory=list)
    trace_id: str = ""
    """The trace of alice's task, once it has run."""
    ending: str = ""
    """More lines at the end."""
    broken: list[str] = field(default_factory=list)
    """The parts that an error ended, each with its cause."""

    @property
    def failures(self) -> list[Attempt]:
        return [attempt for attempt in self.made if not attempt.as_expected]

    @property
    def passed(self) -> bool:
        """Whether every part came to its end, and every answer was the expected one."""
        return not self.broken and not self.failures

    async def make_all(self, trying: AsyncIterator[Attempt]) -> None:
        """Make attempts; count and show those that were made, even if an error ends them."""
        made = list[Attempt]()
        try:
            with showing_progress("The attempts are made"):
                async for attempt in trying:
                    made.append(attempt)
        finally:
            self.show(made)

    def show(self, attempts: Sequence[Attempt]) -> None:
        """Count attempts, and show them, below the name of who makes them."""
        self.count(attempts)
        if attempts:
            _print(attempts)

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Count attempts, and report each unexpected answer."""
        self.made += attempts
        for attempt in attempts:
            if not attempt.as_expected:
                why = f"expected {attempt.expected}, answered {attempt.answered}"
                say(Text.assemble((why, "red"), f": {attempt.who} {attempt.what}"))

    def end_part(self, name: str, cause: str) -> None:
        """Report that an error ended a part, and why."""
        self.broken.append(f"{name} ({cause})")
        say(Text.assemble(("✗ this part failed", "red"), f": {cause}"))

    def summary(self) -> Text:
        """Return which parts failed, how many checks were as expected, and what the others are."""
        told = Text(f"Failed parts: {'; '.join(self.broken)}.\n" if self.broken else "", "red")
        if self.failures:
            names = "; ".join(f"{attempt.who} {attempt.what}" for attempt in self.failures)
            wrong = f"{len(self.failures)} of {len(self.made)} checks did not behave as expected: {names}."
            return told.append(wrong, "red")
        allowed = sum(attempt.control == ALLOWED for attempt in self.made)
        refused = len(self.made) - allowed
        counts = (
            f"{refused} attempt{'s' * (refused != 1)} refused, {allowed} legitimate call{'s' * (allowed != 1)} allowed"
        )
        return told.append(f"All {len(self.made)} checks behaved as expected: {counts}.", "green")


def _print(attempts: Sequence[Attempt]) -> None:
    """Print attempts below the name of who makes them.  Answers are never broken: one searches for their codes."""
    answers = max(len(attempt.answered) for attempt in attempts)
    controls = max(len(attempt.control) for attempt in attempts)
    for who, tried in groupby(attempts, lambda attempt: attempt.who):
        console.print(Text(who, "bold"))
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1)
        table.add_column(width=answers, no_wrap=True)
        table.add_column(width=min(controls, WIDEST))
        for attempt in tried:
            mark = Text("✓", "green") if attempt.as_expected else Text("✗", "red")
            control = Text(attempt.control, "cyan" if attempt.control == ALLOWED else "")
            table.add_row(mark, Text(attempt.what), Text(attempt.answered), control)
        console.print(table)
