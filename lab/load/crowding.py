"""`make crowding`: every attack by load, while another user works; fails if that user is refused even once.

The durations of the user's tasks, with and without the attack, are printed but not checked, because attacker and user
share the cores.  The bytes that the attack makes the services write are checked: they must not grow with its requests.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import typer

from demo.intruder import INSIDERS, Intruder, User
from demo.revocation import operator
from lab.load.attacks import ATTACKS
from lab.load.report import exit_status, ms
from lab.load.stories import reads
from lab.load.users import Score
from local.program import FOLDER, console, say, show, until_stopped
from local.start import running
from local.system import ROOT, System
from zt.errors import CommandError
from zt.login import LoginError

EVERY = 10
"""Seconds between two lines, and between two requests of an operator."""
ALONE = 50
"""Tasks before each attack, for comparison."""
SECONDS = 30
"""The shortest duration of an attack."""
READS = "reads a summary"
MOST_WRITTEN = {
    "nested bodies": 20_000,
    "refusals": 20_000,
    "streams": 20_000,
    "strangers": 20_000,
    "revocations": 200_000,
}
"""Bytes a second that an attack may make the services write, in addition to the user's tasks.  Drafts and tasks are
permitted, within a share, and recorded like all other calls."""


@dataclass(slots=True)
class Seen:
    """The effects of one attack on the user."""

    alone: list[float] = field(default_factory=list)
    attacked: list[float] = field(default_factory=list)
    """The duration of each of the user's tasks, in seconds, before and during the attack."""
    wrong: list[str] = field(default_factory=list)
    operators: int = 0
    """How often an operator was admitted during the attack."""
    written: float = 0.0
    """Bytes that the attack made all services write, without those for the user's tasks."""
    seconds: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)

    def failures(self, most: float) -> list[str]:
        """Return what failed, if `most` bytes a second may be written."""
        found = list(dict.fromkeys(self.wrong[:10]))
        if self.written > most * self.seconds:
            found.append(f"more than {most / 1000:.0f} kB/s written")
        if not self.operators:
            found.append("no operator was admitted")
        if not self.answers:
            found.append("the attacker was answered nothing, so nothing was tried")
        return found


def attack_name(only: str) -> str:
    """Return the name of an attack, or an empty one.  Raises `typer.BadParameter` for any other."""
    if only and only not in ATTACKS:
        raise typer.BadParameter(f"no attack is called {only!r}; the attacks are: {', '.join(ATTACKS)}")
    return only


def main(
    tasks: Annotated[int, typer.Option(min=10, help="the user's tasks during each attack")] = 500,
    only: Annotated[str, typer.Option(help="one attack: " + ", ".join(ATTACKS), callback=attack_name)] = "",
) -> None:
    """Run the attacks and print the results."""

    async def crowding() -> int:
        found = {}
        for name in [only] if only else ATTACKS:
            # A new system for each, because an attack may leave something behind.
            async with running(FOLDER / "crowding", say=say, insiders=INSIDERS) as system:
                found[name] = await _crowded(system, name, tasks)
        return report(found)

    sys.exit(until_stopped(crowding()))


async def _crowded(system: System, name: str, count: int) -> Seen:
    seen = Seen()
    async with AsyncExitStack() as stack:
        user, score = User("bob", Intruder(system, stack)), Score()
        took = score.took[READS]
        await score.once(user, READS, reads)  # signs in; not counted
        before = _written(system)
        for _ in range(ALONE):
            await score.once(user, READS, reads)
        own, seen.alone = (_written(system) - before) / ALONE, took[1:]
        say(f"{name}: bob alone, {ms(seen.alone, 50)} ms a task; the attack begins")
        took.clear()
        async with _attacked(system, name, seen) as attacker:
            before, began, looks = _written(system), time.monotonic(), 0
            while attacker.returncode is None and (len(took) < count or time.monotonic() < began + SECONDS):
                await score.once(user, READS, reads)
                if time.monotonic() > began + (looks + 1) * EVERY:
                    looks += 1
                    await _operate(system, seen)
                    say(f"{name}: {len(took)} of {count} tasks, {len(score.wrong)} wrong")
        seen.seconds, seen.written = time.monotonic() - began, _written(system) - before - own * len(took)
        seen.attacked, seen.wrong = took, score.wrong + seen.wrong
    return seen


async def _operate(system: System, seen: Seen) -> None:
    """Send an operator's requests, all of which have to be admitted."""
    try:
        async with system.user() as http:
            await (await operator(system, http)).party("agent/reader")
        seen.operators += 1
    except (LoginError, CommandError, httpx.HTTPError) as error:
        seen.wrong.append(f"an operator was not admitted: {type(error).__name__}: {error}")


@asynccontextmanager
async def _attacked(system: System, name: str, seen: Seen) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the attack in its own process for a block."""
    told = {
        "attack": name,
        "folder": str(system.folder),
        "metadata": system.keycloak.metadata.model_dump(),
        "passwords": system.keycloak.passwords,
    }
    pipe = asyncio.subprocess.PIPE
    attacker = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / "run"), "lab.load.attacker", stdin=pipe, stdout=pipe
    )
    assert attacker.stdin  # noqa: S101 - pipes, as asked for
    assert attacker.stdout  # noqa: S101
    try:
        attacker.stdin.write(json.dumps(told).encode() + b"\n")
        await attacker.stdin.drain()
        await attacker.stdout.readline()  # it has started
        yield attacker
    finally:
        if attacker.returncode is not None:
            seen.wrong.append("the attacker ended by itself")
        attacker.stdin.close()  # which ends it
        last = (await attacker.communicate())[0].decode().splitlines()
        seen.answers = json.loads(last[-1]) if last else {}


def _written(system: System) -> int:
    """Return the bytes that the services have written."""
    return sum(file.stat().st_size for part in ("data", "logs") for file in (system.folder / part).rglob("*.*"))


def report(found: dict[str, Seen]) -> int:
    """Print the results; return the exit status."""
    rows, failures = [], []
    for name, seen in found.items():
        answers = ", ".join(f"{answer} {count}" for answer, count in sorted(seen.answers.items()))
        tasks = (str(len(seen.attacked)), str(len(seen.wrong)), ms(seen.alone, 50, 99), ms(seen.attacked, 50, 99))
        written = f"{seen.written / seen.seconds / 1000:.0f}"
        rows.append((name, *tasks, written, f"{seen.seconds:.0f}", str(seen.operators), answers))
        failures += [f"{name}: {one}" for one in seen.failures(MOST_WRITTEN.get(name, float("inf")))]
    columns = ("attack", "tasks", "wrong", "ms alone", "attacked", "kB/s written", "seconds", "operators admitted")
    show((*columns, "answers to the attacker"), rows, right=True)
    console.print("ms: p50 / p99 of the user's tasks, before and during the attack.")
    return exit_status(failures)


if __name__ == "__main__":
    typer.run(main)
