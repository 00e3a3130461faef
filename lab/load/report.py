"""Prints the results of a run."""

from collections.abc import Sequence

from rich.markup import escape

from lab.bench.numbers import percentile
from local.program import console

SHOWN = 20
"""Failures that are printed at most."""


def ms(took: Sequence[float], *percents: float) -> str:
    """Return percentiles of durations in seconds, as milliseconds; an empty text if there are none."""
    return " / ".join(f"{percentile(took, percent) * 1e3:.0f}" for percent in percents if took)


def exit_status(failures: Sequence[str]) -> int:
    """Print the failures; return the exit status."""
    for one in failures[:SHOWN]:
        console.print(f"[red]{escape(one)}[/red]")
    return 1 if failures else 0
