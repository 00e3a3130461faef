"""What a run prints at its end."""

from collections.abc import Sequence

from rich.markup import escape

from lab.bench.numbers import percentile
from local.program import console

SHOWN = 20
"""Lines that are printed of what went wrong."""


def ms(took: Sequence[float], *percents: float) -> str:
    """Percentiles of times in seconds, as milliseconds; nothing where there are none."""
    return " / ".join(f"{percentile(took, percent) * 1e3:.0f}" for percent in percents if took)


def exit_status(failures: Sequence[str]) -> int:
    """Print what went wrong, and say so to the shell."""
    for one in failures[:SHOWN]:
        console.print(f"[red]{escape(one)}[/red]")
    return 1 if failures else 0
