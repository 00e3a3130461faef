"""Part of `make soak`: everything is revoked while everything goes wrong, for minutes; fails if a call was allowed
too late."""

import asyncio
import sys
from collections import Counter
from itertools import islice
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from demo.revocation_methods import EVERYWHERE
from lab.revocations.judge import Evidence
from lab.revocations.run import INSIDERS, tried
from local.program import FOLDER, console, say, until_told
from local.system import running

EVERY = 10
"""Seconds between two lines."""
SHOWN = 20
"""Violations that are shown."""


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="how long")] = 10,
    seed: Annotated[int, typer.Option(help="what goes wrong in which order")] = 6,
) -> None:
    """Run, and say what came of it."""

    async def revoked() -> int:
        async with running(FOLDER / "revoked", say=say, insiders=INSIDERS) as system:
            evidence = Evidence(bound=system.registry.freshness.revocations)
            say(f"Users are at work, and things go wrong, for {minutes * 60:.0f} s (seed {seed})")
            notifier = asyncio.create_task(_tell(evidence))
            try:
                took = await tried(system, evidence, seconds=minutes * 60, seed=seed, wires=EVERYWHERE)
            finally:
                notifier.cancel()
            say(f"Everybody was let in again {took:.1f} s after the last fault")
        return _report(evidence)

    sys.exit(until_told(revoked()))


async def _tell(evidence: Evidence) -> None:
    while True:
        await asyncio.sleep(EVERY)
        say(f"{len(evidence.calls)} calls, {len(evidence.revocations)} revocations, {len(evidence.faults)} faults")


def _report(evidence: Evidence) -> int:
    for title, bans in (("Revoked", evidence.revocations), ("Silent", evidence.silences)):
        times = Counter(ban.what for ban in bans)
        table = Table(title, "times", "last yes after, s", box=HORIZONTALS)
        for what, worst in sorted(evidence.delays(bans).items()):
            table.add_row(what, str(times[what]), f"{worst:.2f}")
        console.print(table)
    answers = Counter(call.answer for call in evidence.calls)
    console.print("Answers: " + ", ".join(f"{answer} {count}" for answer, count in answers.most_common()))
    violations = list(evidence.violations())
    for one in islice(violations, SHOWN):
        console.print(f"[red]{one}[/red]")
    worst = max([0.0, *evidence.delays(evidence.revocations).values()])
    say(
        f"{len(evidence.calls)} calls, {len(evidence.revocations)} revocations and {evidence.not_acknowledged} that "
        f"nobody acknowledged, {len(evidence.faults)} faults; worst delay {worst:.2f} s of {evidence.bound} s, "
        f"{len(violations)} violations"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    typer.run(main)
