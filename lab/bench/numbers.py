"""From spans to numbers.  Pure.  All clocks here are one clock, in seconds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple


class Span(NamedTuple):
    """Something that was done, and when."""

    kind: str
    began: float
    ended: float

    @property
    def took(self) -> float:
        """Seconds."""
        return self.ended - self.began


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


def inside(outer: Span, spans: Iterable[Span]) -> list[Span]:
    """The spans that lie within another."""
    return [span for span in spans if outer.began <= span.began and span.ended <= outer.ended]


def begun_in(outer: Span, spans: Iterable[Span]) -> list[Span]:
    """The spans that began within another; a server may be done a moment after its client."""
    return [span for span in spans if outer.began <= span.began < outer.ended]


def in_series(spans: Iterable[Span]) -> list[Span]:
    """What one had to wait for, one after the other: spans that overlap count once, as one."""
    waits: list[Span] = []
    for span in sorted(spans, key=lambda span: span.began):
        if waits and span.began < waits[-1].ended:
            waits[-1] = waits[-1]._replace(ended=max(waits[-1].ended, span.ended))
        else:
            waits.append(span)
    return waits
