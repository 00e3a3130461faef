"""What a run prints at its end."""

from collections.abc import Iterable, Sequence

from rich.box import HORIZONTALS
from rich.markup import escape
from rich.table import Table

from lab.bench.numbers import percentile
from local.program import console

SHOWN = 20
"""Lines that are printed of what went wrong."""


def ms(took: Sequence[float], *percents: float) -> str:
    """Percentiles of times in seconds, as milliseconds; nothing where there are none."""
    return " / ".join(f"{percentile(took, percent) * 1e3:.0f}" for percent in percents if took)


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; what is in its first column are names."""
    table = Table(box=HORIZONTALS)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def exit_status(failures: Sequence[str]) -> int:
    """Print what went wrong, and say so to the shell."""
    for one in failures[:SHOWN]:
        console.print(f"[red]{escape(one)}[/red]")
    return 1 if failures else 0
