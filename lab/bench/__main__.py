"""`make bench`: measures what zero trust costs a task, with the real Keycloak and real processes.

The system runs as always.  Beside it run two more sets of the four parties that take part in the task, without any
check: one in the clear, and one with mutual TLS alone (`party/`).  `client.py` runs the task at each set in turn.
"""

import asyncio
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import astuple
from statistics import median
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from authorities.attestation.local.launch import Launch
from lab.bench.client import CLIENTS, COLD, TASK, TASKS, VARIANTS, WARM, Measured
from lab.bench.party.main import MAINS, PORTS, shift
from registration.run_lock import RunError
from start.before_start import check_port
from start.everything import running
from start.launches import party_launches, settings
from start.program import FOLDER, console, run_until_stopped, say, show
from start.system import EVERYTHING, ROOT, System
from zerotrust.authority.files.snapshot_files import build_snapshot
from zerotrust.registry.snapshot import RegistrySnapshot

CODE = "lab/bench/party"
"""The folder that each launch of the unguarded sets runs."""
BASE = "no security"
OTHERS = 0.1
"""The share of the cores above which other programs make the numbers worthless."""
LEAST = 0.1
"""Milliseconds from which a process has a row."""
CORES = os.cpu_count() or 1
MAX_LINE = 1 << 24
"""Bytes of the line of all measurements."""

Rounds = dict[str, list[Measured]]
"""By variant."""


def launches(system: System) -> dict[str, Launch]:
    """Return the launches of the system and of the unguarded sets, by address."""
    found = party_launches(system)
    for name in PORTS:
        shutil.rmtree(data := system.folder / name, ignore_errors=True)
        data.mkdir()
        for party in MAINS:
            url = snapshot_of(system, name).places[party]
            check_port(port := httpx.URL(url).port or 0, f"{name}/{party}")
            own = {"ZT_DATA": str(data / party.replace("/", "-")), "ZT_PORT": str(port)}
            env = settings(system, party) | own | {"ZT_BENCH_SET": name, "ZT_BENCH_PARTY": party}
            found[url] = Launch(party_id=system.registry.id(party), name=f"{name}/{party}", code=CODE, env=env)
    return found


def snapshot_of(system: System, name: str) -> RegistrySnapshot:
    """Return names and addresses of the parties of a set; "" is the system itself."""
    snapshot = build_snapshot(system.deployment, system.registry, approved={})
    return shift(snapshot, name) if name else snapshot


async def measure(system: System, rounds: int) -> dict[str, Any]:
    """Run the client; return what it measured.  Raises `RunError` if it fails."""
    sets = {name: snapshot_of(system, name) for name in ("", *PORTS)}
    processes = {one.launch.name: [one.process.pid] for one in system.authority.running}
    given = {
        "rounds": rounds,
        "ca": str(system.ca_file),
        "issuer": system.keycloak.issuer,
        "scope": EVERYTHING,
        "passwords": system.keycloak.passwords,
        "sets": {name: dict(snapshot.addresses) for name, snapshot in sets.items()},
        "directories": {name: astuple(snapshot.directory()) for name, snapshot in sets.items()},
        "processes": {**processes, "Keycloak": [system.keycloak.pid], "authority/attestation": [os.getpid()]},
    }
    pipe = asyncio.subprocess.PIPE
    command = ROOT / "start" / "run", "lab.bench.client"
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=MAX_LINE)
    assert process.stdin  # noqa: S101 - pipes, as requested
    assert process.stdout  # noqa: S101
    process.stdin.write(json.dumps(given).encode() + b"\n")
    measured = None
    while line := await process.stdout.readline():
        if line.startswith(b"{"):
            measured = json.loads(line)
        else:
            say(line.decode().strip())
    if await process.wait() or not measured:
        raise RunError("The client ended with an error, as printed above")
    return dict(measured)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def ratio(these: Sequence[float], those: Sequence[float]) -> str:
    """Return the ratio of numbers of the same rounds, so that the noise of a round cancels: median and range."""
    ratios = sorted(this / that for this, that in zip(these, those, strict=True))
    return f"{median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"  # noqa: RUF001 - a range


def cpu_of_a_task(rounds: Rounds, variant: str) -> dict[str, float]:
    """Return the milliseconds on a core that a task costs in each process, without what the process needs when idle."""
    found = {}
    for name in rounds["idle"][0]["cpu"].keys() - {"machine"}:
        idle = median(one["cpu"][name] / one["seconds"] for one in rounds["idle"])
        found[name] = median((one["cpu"][name] - idle * one["seconds"]) / TASKS * 1000 for one in rounds[variant])
    return found


def share_of_others(rounds: Rounds) -> float:
    """Return the share of the machine's cores that other programs used while the idle rounds ran."""
    spent = [one["cpu"] for one in rounds["idle"]]
    others = sum(cpu["machine"] - sum(cpu[name] for name in cpu if name != "machine") for cpu in spent)
    return max(0.0, others / sum(one["seconds"] for one in rounds["idle"]) / CORES)


def report(rounds: Rounds, per_second: dict[str, list[float]]) -> dict[str, float]:
    """Print the cost of the task; return all numbers by name."""
    numbers, rows = dict[str, float](), list[tuple[str, ...]]()
    medians = {name: [median(one["took"]) * 1000 for one in rounds[name]] for name in VARIANTS}
    cpu = {name: cpu_of_a_task(rounds, name) for name in VARIANTS}
    for name in VARIANTS:
        took = [seconds * 1000 for one in rounds[name] for seconds in one["took"]]
        p50, p99, on_cores = percentile(took, 50), percentile(took, 99), sum(cpu[name].values())
        numbers |= {f"{name} p50 ms": p50, f"{name} p99 ms": p99, f"{name} cpu ms": on_cores}
        added = f"{p50 - numbers[f'{BASE} p50 ms']:.0f}"
        rows.append((name, f"{p50:.0f}", f"{p99:.0f}", added, ratio(medians[name], medians[BASE]), f"{on_cores:.0f}"))

    console.rule("What one task costs")
    console.print(Text.assemble((TASK, "italic"), "  client → orchestrator → reader → documents and inference"))
    others = share_of_others(rounds)
    verdict = "so these numbers are worthless: stop those and repeat" if others > OTHERS else "quiet enough"
    console.print(f"{CORES} cores, of which other programs used {others:.0%}: {verdict}")
    show(("", "p50 ms", "p99 ms", "added ms", "times no security", "CPU ms"), rows, right=True)
    console.print("Times: the median of pairs of the same round, and the range. CPU: of all processes together.")
    costs = {name: (cpu[WARM][name], cpu[COLD][name]) for name in cpu[WARM] if not name.startswith(tuple(PORTS))}
    processes = sorted((name for name in costs if max(costs[name]) >= LEAST), key=lambda name: -sum(costs[name]))
    cells = ((name, *(f"{cost:.1f}" for cost in costs[name])) for name in processes)
    show(("CPU ms of a task, by process", WARM, COLD), cells, right=True)
    many = {name: median(counts) for name, counts in per_second.items()}
    numbers |= {f"{name} tasks a second": count for name, count in many.items()}
    console.print(
        f"{CLIENTS} clients at once: {many[WARM]:.0f} tasks a second instead of {many[BASE]:.0f}, "
        f"times {ratio(per_second[WARM], per_second[BASE])}"
    )
    return numbers


def main(rounds: Annotated[int, typer.Option(min=1, help="rounds; every variant runs in each")] = 15) -> None:
    """Measure, print, and write `run/bench.json`."""

    async def work() -> int:
        unregistered = {f"{name}/{party}": CODE for name in PORTS for party in MAINS}
        async with running(FOLDER / "bench", say=say, parties=launches, unregistered=unregistered) as system:
            measured = await measure(system, rounds)
            say("Everything ends")
        numbers, file = report(measured["rounds"], measured["per_second"]), FOLDER / "bench.json"
        file.write_text(json.dumps({name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n")
        say(f"All numbers: {file}")
        return 0

    sys.exit(run_until_stopped(work()))


if __name__ == "__main__":
    typer.run(main)
