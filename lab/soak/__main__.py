"""`make soak`: users, stories and attacks all mixed, for minutes, on the real system; fails if
any answer was wrong or anything leaks."""

import asyncio
import sys
import time
from collections import defaultdict
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from lab.bench.numbers import percentile
from lab.soak.load import INSIDERS, Score, users, work
from lab.soak.watch import MOST_FILES, SLACK, Held, grown, held
from local.program import FOLDER, console, say, until_told
from local.system import System, running
from zerotrust.audit.journal import first_bad_record

EVERY = 10
"""Seconds between two lines, and between two looks at what the processes hold."""
WARM_UP = 60
"""Seconds before the first look that counts, or a fifth of the whole where that is less."""


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="how long")] = 10,
    count: Annotated[int, typer.Option("--users", min=1, help="how many at once")] = 20,
) -> None:
    """Run, and say what came of it."""

    async def soak() -> int:
        async with running(FOLDER / "soak", say=say, insiders=INSIDERS) as system:
            score, samples = await _run(system, seconds=minutes * 60, count=count)
            broken = [name for name in system.registry.services if first_bad_record(system.journal(name))]
            say("Everything ends")
        return _report(score, samples, broken)

    sys.exit(until_told(soak()))


async def _run(system: System, *, seconds: float, count: int) -> tuple[Score, dict[str, list[Held]]]:
    score, samples = Score(), defaultdict[str, list[Held]](list)
    services = {one.launch.name: one.process.pid for one in system.authority.running if one.launch.name != "insider"}
    async with users(system, count) as everybody:
        say(f"{count} users sign in, one after the other")
        for user in everybody:
            await user.t0()
        say(f"They are at work for {seconds:.0f} s")
        working = [asyncio.create_task(work(user, score)) for user in everybody]
        working.append(asyncio.create_task(score.suspensions.go_on(system)))
        before, began = 0, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            await asyncio.sleep(min(EVERY, seconds - passed))
            now = {name: held(pid) for name, pid in services.items()}
            if time.monotonic() - began > min(WARM_UP, seconds / 5):
                for name, one in now.items():
                    samples[name].append(one)
            memory = sum(one.memory for one in now.values())
            say(
                f"{score.tried} requests (+{score.tried - before}), {len(score.wrong)} wrong, "
                f"{memory:.0f} MiB, {sum(one.files for one in now.values())} files"
            )
            before = score.tried
            if ended := [task for task in working if task.done()]:
                ended[0].result()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return score, samples


def _report(score: Score, samples: dict[str, list[Held]], broken: list[str]) -> int:
    table = Table("", "times", "p50 ms", "p99 ms", box=HORIZONTALS)
    for what, took in sorted(score.took.items()):
        times = [f"{percentile(took, percent) * 1000:.0f}" for percent in (50, 99)]
        table.add_row(what, str(len(took)), *times)
    console.print(table)
    table = Table("", "MiB after warm-up", "half-way", "at the end", "files", "connections", box=HORIZONTALS)
    for name, seen in samples.items():
        memory = [f"{one.memory:.1f}" for one in (seen[0], seen[len(seen) // 2], seen[-1])]
        table.add_row(name, *memory, *(f"{getattr(seen[-1], what)}" for what in ("files", "connections")))
    console.print(table)
    console.print(
        f"Flat: the median of the last third is at most a tenth and {SLACK} MiB above that of the first; "
        f"never more than {MOST_FILES} files."
    )
    found = [*score.wrong[:20], *grown(samples), *(f"the journal of {name} is broken" for name in broken)]
    for one in found:
        console.print(f"[red]{one}[/red]")
    say(
        f"{score.tried} requests, {len(score.wrong)} wrong answers, {len(broken)} broken journals; "
        f"{len(score.suspensions.seen)} suspensions, which {score.suspensions.refused} answers told of"
    )
    return 1 if found else 0


if __name__ == "__main__":
    typer.run(main)
