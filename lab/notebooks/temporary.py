"""Changes the running system for a block of a notebook, and undoes each change however the block ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import yaml

from demo.revocation import PLANTED, sign_in_olga, wait_until_restored
from lab.before.system import Answer
from lab.notebooks.copies import PLACES, folder_of, restore
from lab.notebooks.rules import put_back
from start.child import stat_of
from start.system import System
from zt.people.registry_client import RegistryClient

WRITER = "agent/writer"
SECONDS = 30
"""Until something takes effect that should take milliseconds; half of what a cell may take."""
PAUSE = 0.005


@asynccontextmanager
async def operating(system: System) -> AsyncIterator[RegistryClient]:
    """Sign olga, an operator, in for a block.  Her token lives a minute."""
    async with system.user() as http:
        yield await sign_in_olga(system, http)


@asynccontextmanager
async def added_file(system: System) -> AsyncIterator[RegistryClient]:
    """Add an empty file to the writer's code for a block; afterwards an operator reinstates the writer."""
    try:
        async with operating(system) as olga:
            PLANTED.touch()
            yield olga
    finally:
        PLANTED.unlink(missing_ok=True)
        async with operating(system) as olga:
            await _reinstate(olga)


@asynccontextmanager
async def moving(system: System, party: str, port: int) -> AsyncIterator[RegistryClient]:
    """Let a party run at another port for a block, by the copy of the address file (`copies.py`) and `reload`."""
    places = yaml.safe_load((copy := folder_of(system) / PLACES).read_text())
    places["parties"][party]["port"] = port
    try:
        async with operating(system) as olga:
            copy.write_text(yaml.safe_dump(places))
            yield olga
    finally:
        restore(folder_of(system))
        async with operating(system) as olga:
            await reload(olga)


async def put_right(system: System) -> None:
    """Undo what a notebook that did not come to its end has left."""
    PLANTED.unlink(missing_ok=True)
    restore(folder_of(system))
    async with operating(system) as olga:
        await reload(olga)
        await _reinstate(olga)
    await put_back(system)


async def _reinstate(olga: RegistryClient) -> None:
    await wait_until_restored(olga)
    if (await olga.party(WRITER))["state"] == "suspended":
        await olga.reinstate(WRITER)


async def reload(olga: RegistryClient) -> list[str]:
    """Have the registry read its files again, as `zt reload` does.  Return what has changed.  Raises `RefusedError`."""
    return list((await olga.ask("POST", "/reload"))["changed"])


async def wait_until(
    said: str, ask: Callable[[], Awaitable[Answer]], *, after: asyncio.Task[object] | None = None
) -> float:
    """Ask until the answer is `said`.  Return the milliseconds that it took.

    `after`: the task that brings the answer about.  Raises what that raises, and `TimeoutError`.
    """
    began, answer = time.monotonic(), ""
    try:
        async with asyncio.timeout(SECONDS):
            while (answer := (await ask()).said) != said:
                if after and after.done():
                    after.result()
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise TimeoutError(f"After {SECONDS} s the answer is still {answer!r}, and not {said!r}.") from None
    return (time.monotonic() - began) * 1000


def attestations_log(system: System) -> list[dict[str, Any]]:
    """Return the lines of the log of attestation, from its start on."""
    file = system.log(system.registry.authorities.attestation)
    return [json.loads(line) for line in file.read_text().splitlines()]


async def wait_for_log(system: System, event: str, party: str, *, since: int) -> dict[str, Any]:
    """Wait until attestation logs this event of a party; skip `since` lines.  Raises `TimeoutError`."""
    async with asyncio.timeout(SECONDS):
        while True:
            for line in attestations_log(system)[since:]:
                if (line["event"], line.get("party")) == (event, system.registry.id(party)):
                    return line
            await asyncio.sleep(PAUSE)


def processes(system: System) -> dict[str, tuple[int, str]]:
    """Return the process of each party, by its number and the time at which it began."""
    launched = [line for line in attestations_log(system) if line["event"] == "launched"]
    own = {line["party"]: line["pid"] for line in launched if line["folder"] != "lab/compromised_workload"}
    return {party: (pid, stat_of(pid)[19]) for party, pid in own.items()}  # proc_pid_stat(5), field 22
