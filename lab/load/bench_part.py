"""A part of `make bench` that measures on the running system with its intruders inside."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from demo.intruder import INSIDERS
from lab.load.report import add_to_bench
from local.program import FOLDER, say, until_stopped
from local.start import running
from local.system import System

T = TypeVar("T")


def run_part(name: str, measure: Callable[[System], Awaitable[T]], report: Callable[[T], dict[str, float]]) -> NoReturn:
    """Start a system in the folder `name`, measure, end it, report, and add the numbers to `run/bench.json`; exit."""

    async def work() -> int:
        async with running(FOLDER / name, say=say, insiders=INSIDERS) as system:
            took = await measure(system)
            say("Everything ends")
        await asyncio.to_thread(add_to_bench, report(took))
        return 0

    sys.exit(until_stopped(work()))
