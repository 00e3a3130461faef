"""Counts what a process of the benchmark computes: the part of the code that runs, once in so much time on a core.

`SIGUSR1` begins it; `SIGUSR2` ends it and writes the counts to a file.  A signal reaches a function of Python only, so
the time in C counts for whatever called it; that in the event loop's own C, and in the kernel for it, for the loop.
"""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lab.bench.party.parts import part

SAMPLES = "samples.json"
"""The file, in the folder of the party."""
EVERY = 0.004
"""Seconds on a core between two samples: a kernel with 250 ticks a second makes no more."""


def sampling(file: Path) -> None:
    """Be ready for both signals, and write to this file, which is then whole."""
    counts = Counter[str]()

    def end(*_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(counts))
        new.rename(file)
        counts.clear()

    signal.signal(signal.SIGPROF, lambda _, frame: counts.update([part(_files(frame))]))
    signal.signal(signal.SIGUSR1, lambda *_: signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY))
    signal.signal(signal.SIGUSR2, end)


def _files(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back
