"""Prints the results of a run."""

import os
from collections.abc import Sequence

from rich.text import Text

from lab.bench.numbers import percentile
from local.program import console

SHOWN = 20
"""Failures that are printed at most."""


def ms(took: Sequence[float], *percents: float) -> str:
    """Return percentiles of durations in seconds, as milliseconds; an empty text if there are none."""
    return " / ".join(f"{percentile(took, percent) * 1e3:.0f}" for percent in percents if took)


def exit_status(failures: Sequence[str]) -> int:
    """Print the machine's load and the failures; return the exit status."""
    console.print(f"{os.cpu_count()} cores, load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    for one in failures[:SHOWN]:
        console.print(Text(one, "red"))
    return 1 if failures else 0
