"""From seconds that were measured to one flat object: `run/bench.json`.  Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import median

RATIOS = {
    "mtls_ratio": ("tls", "none"),
    "warm_ratio": ("warm", "none"),
    "warm_ratio_model15": ("warm15", "none15"),
    "cold_ratio": ("cold", "none"),
    "naive_ratio": ("naive", "none"),
}
"""Which variant is compared with which."""


@dataclass(slots=True)
class Measured:
    """What was measured, in seconds."""

    tasks: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    """By variant and round: how long each task took."""
    on_core: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By variant and round: what one task takes on a core."""
    apart: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind: what was measured by itself."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long one thing takes as another: the median of pairs measured side by side, and the range."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.most:.2f})"  # noqa: RUF001 - a range


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def paired(rounds: Iterable[tuple[Sequence[float], Sequence[float]]]) -> Ratio:
    """Compare two things that were measured in the same rounds: the noise of a round is in both, so it cancels."""
    ratios = [median(these) / median(those) for these, those in rounds]
    return Ratio(median(ratios), min(ratios), max(ratios))


def summarise(measured: Measured) -> tuple[dict[str, float], dict[str, Ratio]]:
    """All numbers under their names, in milliseconds where the name says so, and the ratios with their ranges."""
    took = {f"task_{name}": chain.from_iterable(rounds) for name, rounds in measured.tasks.items()}
    numbers: dict[str, float] = {}
    for name, seconds in (took | measured.apart).items():
        values = [one * 1000 for one in seconds]
        numbers |= {f"{name}_ms_p50": percentile(values, 50), f"{name}_ms_p99": percentile(values, 99)}
    ratios = {name: paired(zip(*map(measured.tasks.get, pair), strict=True)) for name, pair in RATIOS.items()}
    on_core = {name: [[seconds] for seconds in rounds] for name, rounds in measured.on_core.items()}
    for name, rounds in on_core.items():
        numbers[f"cpu_{name}_ms_p50"] = median(chain.from_iterable(rounds)) * 1000
        ratios[f"{name}_cpu_ratio"] = paired(zip(rounds, on_core["none"], strict=True))
    return numbers | {name: ratio.median for name, ratio in ratios.items()}, ratios
