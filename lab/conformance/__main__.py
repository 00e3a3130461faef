"""`make conformance`: public suites and clients against the running system; fails on any other outcome than expected.

A suite whose requirements are not installed is reported as skipped; an unfinished suite as failed.  Packages are
installed by npm, pip and go, at pinned versions, into `run/conformance`; they are not part of the system.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from demo.intruder import INSIDERS, Intruder
from lab.conformance import logs, suites
from lab.conformance.bare import bare_tool
from lab.conformance.expected import EXPECTED
from lab.conformance.forwarder import ASK, READ, Hop, forwarding
from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing
from lab.conformance.ssh_witness import wait_until
from start.earlier_runs import AUDIT_POLICY, data_folder
from start.everything import running
from start.program import FOLDER, console, run_until_stopped, say, show
from start.system import System

HOME = FOLDER / "conformance"
Ran = list[Outcome]


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses of what suites test."""

    system: System
    tool: str
    agent: str
    bare: str
    """The tool's SDK without the gate."""


SUITES: dict[str, Callable[[Places], Awaitable[Outcome]]] = {
    "A2A compatibility kit": lambda at: suites.run_kit(HOME, at.agent),
    "ledger": lambda at: _ledger(at.system),
    "MCP conformance suite": lambda at: suites.run_mcp_suite(HOME, gated=at.tool, bare=at.bare),
}
"""One for each protocol; the clients in Python are part of `make test`."""


async def _ledger(system: System) -> Outcome:
    demanded, log = system.folder / AUDIT_POLICY, data_folder(system.folder, system.registry.authorities.audit) / "log"
    await wait_until(lambda: demanded.exists() and (log / "checkpoint").exists(), "the log")
    return await logs.check_ledger(HOME, log, demanded.read_text())


def choose_suites(only: str) -> list[str]:
    """Return the suites whose name contains `only`, ignoring case.  Raises `typer.BadParameter` if there is none."""
    found = [name for name in SUITES if only.lower() in name.lower()]
    if not found:
        raise typer.BadParameter(f"no suite's name contains {only!r}; the suites are: {', '.join(SUITES)}")
    return found


def main(only: Annotated[str, typer.Option(help="suites whose name contains this")] = "") -> None:
    """Run the suites and print the outcomes."""
    suites = choose_suites(only)

    async def conformance() -> int:
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with running(HOME / "system", say=say, insiders=INSIDERS) as system:
            ran, skipped = await _run_suites(system, suites)
        return _report(ran, skipped)

    sys.exit(run_until_stopped(conformance()))


async def _run_suites(system: System, suites: Iterable[str]) -> tuple[Ran, dict[str, str]]:
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)

        async def to(way: Hop) -> str:
            return await stack.enter_async_context(forwarding(system, intruder, way))

        places = Places(
            system,
            tool=f"{await to(READ)}/mcp",
            agent=await to(ASK),
            bare=await stack.enter_async_context(bare_tool(HOME)),
        )
        ran: Ran = []
        skipped: dict[str, str] = {}
        for name in suites:
            say(name)
            try:
                ran.append(await _run_suite(name, partial(SUITES[name], places)))
            except Missing as error:
                skipped[name] = str(error)
                say(f"{name}: skipped, {error}")
    return ran, skipped


async def _run_suite(name: str, what: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Run a suite; if it does not finish, it has failed as a whole.  Raises `Missing`."""
    try:
        return await what()
    except Failed as error:
        return Outcome(name, "", failed={"all": str(error)})


def _report(ran: Ran, skipped: dict[str, str]) -> int:
    rows, wrong = [], 0
    for one in ran:
        unexpected = one.unexpected(EXPECTED.get(one.suite, {}))
        wrong += len(unexpected)
        expected = len(one.failed.keys() - unexpected.keys())
        rows.append((one.suite, one.version, *map(str, (len(one.passed), expected, one.skipped, len(unexpected)))))
        for name, came in unexpected.items():
            console.print(f"  {one.suite}, {name}: {came}", soft_wrap=True)
    rows += [(name, "", "", "", "all", "") for name in skipped]
    show(("suite", "version", "passed", "failed as expected", "skipped", "unexpected"), rows, right=True)
    for one in ran:
        if one.skipped:
            console.print(f"  {one.suite}: {one.skipped} skipped, {one.why_skipped}", soft_wrap=True)
    for name, why in skipped.items():
        console.print(f"  {name} was skipped: {why}", soft_wrap=True)
    fine = "All that ran is as expected." if skipped else "All as expected."
    console.print(f"{wrong} not as expected." if wrong else fine)
    return 1 if wrong else 0


if __name__ == "__main__":
    typer.run(main)
