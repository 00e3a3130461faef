"""Computes the numbers of `run/bench.json` from measured seconds.  Pure."""

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
}
"""The variants that are compared, by the name of the ratio."""


@dataclass(slots=True)
class Durations:
    """The measured durations, in seconds."""

    tasks: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    """The duration of each task, by variant and round."""
    on_core: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """The CPU time of one task, by variant and round."""
    per_second: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Tasks a second of many clients, by variant and turn."""
    proofs: list[float] = field(default_factory=list)
    """The CPU time of each check of a proof of possession."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of two durations: the median of pairs that were measured in the same round, and the range."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.most:.2f})"  # noqa: RUF001 - a range


def percentile(values: Iterable[float], percent: float) -> float:
    """Return a percentile (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def milliseconds(took: Sequence[float], *percents: float) -> str:
    """Return percentiles of durations in seconds, as milliseconds; an empty text if there are none."""
    return " / ".join(f"{percentile(took, percent) * 1e3:.0f}" for percent in percents if took)


def paired_ratio(rounds: Iterable[tuple[Sequence[float], Sequence[float]]]) -> Ratio:
    """Return the ratio of durations that were measured in the same rounds, so that the noise of a round cancels."""
    ratios = [median(these) / median(those) for these, those in rounds]
    return Ratio(median(ratios), min(ratios), max(ratios))


def summarise(measured: Durations) -> tuple[dict[str, float], dict[str, Ratio]]:
    """Return all numbers by name, in milliseconds if the name ends so, and the ratios with their ranges."""
    took = {f"task_{name}": chain.from_iterable(rounds) for name, rounds in measured.tasks.items()}
    numbers: dict[str, float] = {}
    for name, seconds in took.items():
        values = [one * 1000 for one in seconds]
        numbers |= {f"{name}_ms_p50": percentile(values, 50), f"{name}_ms_p99": percentile(values, 99)}
    ratios = {name: paired_ratio(zip(*map(measured.tasks.get, pair), strict=True)) for name, pair in RATIOS.items()}
    on_core = {name: [[seconds] for seconds in rounds] for name, rounds in measured.on_core.items()}
    for name, rounds in on_core.items():
        numbers[f"cpu_{name}_ms_p50"] = median(chain.from_iterable(rounds)) * 1000
        ratios[f"{name}_cpu_ratio"] = paired_ratio(zip(rounds, on_core["none"], strict=True))
    numbers |= {f"cpu_proof_ms_p{p}": percentile(measured.proofs, p) * 1000 for p in (50, 99) if measured.proofs}
    turns = {name: [[count] for count in counts] for name, counts in measured.per_second.items()}
    for name, counts in turns.items():
        numbers[f"throughput_{name}_per_s"] = median(chain.from_iterable(counts))
    if turns:
        ratios["throughput_ratio"] = paired_ratio(zip(turns["warm"], turns["none"], strict=True))
    return numbers | {name: ratio.median for name, ratio in ratios.items()}, ratios
