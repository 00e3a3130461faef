"""`make bench`, second part: the delay from the request to revoke to the first refusal, by way to revoke and service.

Each try has its own session, in use at every service when it is revoked (`demo/revocation_methods.py`).
"""

import json
import sys
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from demo.intruder import INSIDERS, Intruder
from demo.revocation import sign_in_olga
from demo.revocation_delays import measure_delays
from demo.revocation_methods import REVOCATION_METHODS, get_tokens
from lab.bench.numbers import milliseconds, percentile
from start.everything import running
from start.program import FOLDER, console, run_until_stopped, say, show
from start.system import System

WARM_UP = 5
Took = dict[str, dict[str, list[float]]]
"""Durations in seconds, by way to revoke and by service."""


async def measure(system: System, pushed: int, polled: int) -> Took:
    """Revoke in every way, this often."""
    took: Took = defaultdict(lambda: defaultdict(list))
    for name, method in REVOCATION_METHODS.items():
        times = pushed if method.pushed else polled
        say(f"{name}, {times} times")
        for number in range(-WARM_UP, times):
            async with AsyncExitStack() as stack:  # an operator's token is valid for 60 s
                http, intruder = await stack.enter_async_context(system.user()), Intruder(system, stack)
                use = await get_tokens(system, intruder, await sign_in_olga(system, http), agent=method.agent)
                found = await measure_delays(method, use)
            if number >= 0:
                for service, seconds in found.items():
                    took[name][service].append(seconds)
    return took


def report(took: Took) -> dict[str, float]:
    """Print the table; return its numbers, in milliseconds, by their names in `run/bench.json`."""
    numbers, services = {}, list(dict.fromkeys(service for each in took.values() for service in each))
    console.rule("From the request to revoke to the first refusal")
    rows = {name: [each.get(service, []) for service in services] for name, each in took.items()}
    show(
        ("p50 / p99 / worst ms", "tries", *services),
        (
            (name, str(max(map(len, times))), *(milliseconds(each, 50, 99, 100) for each in times))
            for name, times in rows.items()
        ),
        right=True,
    )
    console.print("Wanted: pushed (logout, session, token, suspend, drift) p99 < 50 ms; polled worst < 1 s.")
    for name, each in took.items():
        everywhere = [seconds for values in each.values() for seconds in values]
        for percent, suffix in ((50, "p50"), (99, "p99"), (100, "worst")):
            numbers[f"revoke_{name}_ms_{suffix}"] = percentile(everywhere, percent) * 1e3
    return numbers


def main(
    pushed: Annotated[int, typer.Option(min=1, help="tries of each way that is pushed")] = 200,
    polled: Annotated[int, typer.Option(min=1, help="tries of each way that is polled")] = 50,
) -> None:
    """Measure, print, and add to `run/bench.json`."""

    async def work() -> int:
        async with running(FOLDER / "revocation_delay", say=say, insiders=INSIDERS) as system:
            took = await measure(system, pushed, polled)
            say("Everything ends")
        numbers, file = report(took), FOLDER / "bench.json"
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(
            json.dumps(before | {name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n"
        )
        return 0

    sys.exit(run_until_stopped(work()))


if __name__ == "__main__":
    typer.run(main)
