"""`make crowding`: every attack that crowds, while another user works; fails if that user is refused even once.

How long the user's tasks take, with and without the attack, is printed and not judged: attacker and user share the
cores.  How much the attack makes the services write is judged: it must not grow with the number of its requests.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import typer
from rich.box import HORIZONTALS
from rich.markup import escape
from rich.table import Table

from demo.refusals import Intruder
from demo.revocation import operator
from lab.bench.numbers import percentile
from lab.crowding.attacks import ATTACKS
from lab.soak.users import User, reads
from local.program import FOLDER, console, say, until_told
from local.system import ROOT, System, running
from zt.login import LoginError

INSIDERS = ("orchestrator", "agent/reader", "agent/writer")
EVERY = 10
"""Seconds between two lines, and between two looks of an operator."""
QUIET = 50
"""Tasks before each attack, to compare with."""
MOST_WRITTEN = {"nested bodies": 20_000, "refusals": 20_000, "streams": 20_000, "revocations": 200_000}
"""Bytes a second by which an attack may make the services write more than the user's own tasks do.  The two others do
what is allowed, within a share, and that is on record like everything else."""
SECONDS = 30
"""That an attack lasts at least."""


@dataclass(slots=True)
class Seen:
    """What one attack did to the user."""

    quiet: list[float] = field(default_factory=list)
    loud: list[float] = field(default_factory=list)
    """Seconds of each of the user's tasks, before and during the attack."""
    wrong: list[str] = field(default_factory=list)
    operators: int = 0
    """How often an operator was let in during the attack."""
    written: float = 0.0
    """Bytes that the attack made all services write, beyond what the user's own tasks did."""
    seconds: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)


def known(only: str) -> str:
    """An attack's name, or none.  Raises `typer.BadParameter` for any other."""
    if only and only not in ATTACKS:
        raise typer.BadParameter(f"no attack is called {only!r}; the attacks are: {', '.join(ATTACKS)}")
    return only


def main(
    tasks: Annotated[int, typer.Option(min=10, help="the user's tasks during each attack")] = 500,
    only: Annotated[str, typer.Option(help="one attack: " + ", ".join(ATTACKS), callback=known)] = "",
) -> None:
    """Run, and say what came of it."""

    async def crowding() -> int:
        found = {}
        for name in [only] if only else ATTACKS:
            # A system of its own for each: what one attack leaves behind is not the next one's.
            async with running(FOLDER / "crowding", say=say, insiders=INSIDERS) as system:
                found[name] = await _crowded(system, name, tasks)
        return _report(found)

    sys.exit(until_told(crowding()))


async def _crowded(system: System, name: str, count: int) -> Seen:
    seen = Seen()
    async with AsyncExitStack() as stack:
        user = User("bob", Intruder(system, stack), random.Random(1), asyncio.Lock())  # noqa: S311 - nothing secret
        await _once(user, [], seen.wrong)
        before = _written(system)
        for _ in range(QUIET):
            await _once(user, seen.quiet, seen.wrong)
        own = (_written(system) - before) / QUIET
        say(f"{name}: bob alone, {percentile(seen.quiet, 50) * 1000:.0f} ms a task; the attack begins")
        attacker = await _attacker(system, name)
        before = _written(system)
        began = told = time.monotonic()
        assert attacker.stdin  # noqa: S101 - a pipe, as asked for
        try:
            while attacker.returncode is None and (len(seen.loud) < count or time.monotonic() < began + SECONDS):
                await _once(user, seen.loud, seen.wrong)
                if time.monotonic() > told + EVERY:
                    told = time.monotonic()
                    await _operate(system, seen)
                    say(f"{name}: {len(seen.loud)} of {count} tasks, {len(seen.wrong)} wrong")
        finally:
            attacker.stdin.close()
        seen.seconds, seen.written = time.monotonic() - began, _written(system) - before - own * len(seen.loud)
        if attacker.returncode:
            seen.wrong.append("the attacker ended by itself")
        last = (await attacker.communicate())[0].decode().splitlines()
        seen.answers = json.loads(last[-1]) if last else {}
    return seen


async def _once(user: User, took: list[float], wrong: list[str]) -> None:
    began = time.monotonic()
    try:
        found = await reads(user)
    except (LoginError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    took.append(time.monotonic() - began)
    if found:
        wrong.append(found[:500])


async def _operate(system: System, seen: Seen) -> None:
    """An operator has to get in, whatever goes on."""
    try:
        async with system.user() as http:
            await (await operator(system, http)).state("agent/reader")
        seen.operators += 1
    except (LoginError, httpx.HTTPError) as error:
        seen.wrong.append(f"an operator was kept out: {type(error).__name__}: {error}")


async def _attacker(system: System, name: str) -> asyncio.subprocess.Process:
    told = {
        "attack": name,
        "folder": str(system.folder),
        "issuer": system.keycloak.issuer,
        "passwords": system.keycloak.passwords,
    }
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / "run"),
        "lab.crowding.attacker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin  # noqa: S101 - a pipe, as asked for
    assert process.stdout  # noqa: S101
    process.stdin.write(json.dumps(told).encode() + b"\n")
    await process.stdin.drain()
    await process.stdout.readline()  # it is at work
    return process


def _written(system: System) -> int:
    """Bytes of everything that the services have written."""
    return sum(file.stat().st_size for part in ("data", "logs") for file in (system.folder / part).rglob("*.*"))


def _report(found: dict[str, Seen]) -> int:
    table = Table(
        "attack", "tasks", "wrong", "p50 / p99 ms alone", "attacked", "attacker was answered", box=HORIZONTALS
    )
    bad = False
    for name, seen in found.items():
        times = [" / ".join(f"{percentile(t, p) * 1000:.0f}" for p in (50, 99)) for t in (seen.quiet, seen.loud)]
        answers = ", ".join(f"{answer} {count}" for answer, count in sorted(seen.answers.items()))
        table.add_row(name, str(len(seen.loud)), str(len(seen.wrong)), *times, answers)
        bad |= bool(seen.wrong)
    console.print(table)
    for name, seen in found.items():
        rate, most = seen.written / seen.seconds, MOST_WRITTEN.get(name, float("inf"))
        too_much = f" [red]more than {most / 1000:.0f} kB/s[/red]" if rate > most else ""
        console.print(f"{name}: {seen.seconds:.0f} s, {rate / 1000:.0f} kB/s written for it{too_much}")
        console.print(f"{name}: an operator was let in {seen.operators} times")
        bad |= rate > most or not seen.operators
        for one in dict.fromkeys(seen.wrong[:10]):
            console.print(f"[red]{name}: {escape(one)}[/red]")
    return 1 if bad else 0


if __name__ == "__main__":
    typer.run(main)
