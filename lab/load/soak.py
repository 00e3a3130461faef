"""`make soak`: minutes of load without faults, then minutes of revocations with faults.

Fails if an answer of the first part is wrong or a process grows, if a call of the second part is allowed later than the
registry's bound after its revocation, or after the source of revocations has failed, or if a journal is broken.
"""

import os
import sys
from collections import Counter, defaultdict
from typing import Annotated

import typer
from rich.text import Text

from demo.intruder import INSIDERS
from demo.revocation_methods import EVERYWHERE
from lab.bench.numbers import milliseconds
from lab.load.judge import Evidence
from lab.load.under_faults import under_faults
from lab.load.under_load import under_load
from lab.load.users import Score
from lab.load.watch import MOST_FILES, SLACK, Samples, Usage, leaks
from start.everything import running
from start.program import FOLDER, console, run_until_stopped, say, show
from zt.audit.journals import first_bad_record

SHOWN = 20
"""Failures that are printed at most."""


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="how long each of both parts")] = 10,
    count: Annotated[int, typer.Option("--users", min=1, help="how many at once")] = 20,
    seed: Annotated[int, typer.Option(help="what goes wrong in which order")] = 6,
) -> None:
    """Run both parts and print the results."""
    score, samples = Score(), defaultdict[str, list[Usage]](list)

    async def soak() -> int:
        async with running(FOLDER / "soak", say=say, insiders=INSIDERS) as system:
            await under_load(system, score, samples, seconds=minutes * 60, count=count)
            _report_load(score, samples)
            evidence = Evidence(bound=system.registry.freshness.revocations)
            say(f"Users are at work, and things go wrong, for {minutes * 60:.0f} s (seed {seed})")
            await under_faults(system, evidence, seconds=minutes * 60, seed=seed, wires=EVERYWHERE)
            broken = [name for name in system.registry.services if first_bad_record(system.journal(name))]
            say("Everything ends")
        late = list(evidence.violations())
        _report_faults(evidence, len(late))
        failures = leaks(samples) + [f"the journal of {name} is broken" for name in broken]
        failures += late + score.wrong
        console.print(f"{os.cpu_count()} cores, load average {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
        for one in failures[:SHOWN]:
            console.print(Text(one, "red"))
        return 1 if failures else 0

    sys.exit(run_until_stopped(soak()))


def _report_load(score: Score, samples: Samples) -> None:
    rows = [
        (what, str(len(took)), milliseconds(took, 50), milliseconds(took, 99))
        for what, took in sorted(score.took.items())
    ]
    show(("", "times", "p50 ms", "p99 ms"), rows, right=True)
    table = []
    for name, seen in samples.items():
        memory = [f"{one.memory:.1f}" for one in (seen[0], seen[len(seen) // 2], seen[-1])]
        table.append((name, *memory, str(seen[-1].files), str(seen[-1].connections)))
    show(("", "MiB after warm-up", "half-way", "at the end", "files", "connections"), table, right=True)
    console.print(
        f"Flat: the median of the last third is at most a tenth and {SLACK} MiB above that of the first; "
        f"never more than {MOST_FILES} files."
    )
    say(
        f"{score.actions} requests, {len(score.wrong)} wrong answers; {len(score.evidence.revocations)} suspensions, "
        f"which {score.refused} answers told of"
    )


def _report_faults(evidence: Evidence, late: int) -> None:
    acknowledged = evidence.acknowledged
    for title, bans in (("Revoked", acknowledged), ("Silent", evidence.silences)):
        times, delays = Counter(ban.what for ban in bans), sorted(evidence.delays(bans).items())
        rows = [(what, str(times[what]), f"{s:.2f}") for what, s in delays]
        show((title, "times", "last yes after, s"), rows, right=True)
    answers = Counter(call.answer for call in evidence.calls)
    console.print("Answers: " + ", ".join(f"{answer} {count}" for answer, count in answers.most_common()))
    say(
        f"{len(evidence.calls)} calls, {len(acknowledged)} revocations and "
        f"{len(evidence.revocations) - len(acknowledged)} that nobody acknowledged, {len(evidence.faults)} faults; "
        f"worst delay {max([0.0, *evidence.delays(acknowledged).values()]):.2f} s of {evidence.bound} s, "
        f"{late} violations"
    )


if __name__ == "__main__":
    typer.run(main)
