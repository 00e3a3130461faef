"""`make conformance`: public suites and clients against the running system; fails on any other outcome than expected.

A suite whose needs are not installed here is skipped, and said to be; one that breaks off has failed.  Packages of
others come by npm, pip and go, at pinned versions, into `run/conformance`; nothing of them is part of the system.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.markup import escape
from rich.table import Table

from authorities.attestation.closed import go_on_closed
from demo.__main__ import FOLDER, console, say, until_told
from demo.refusals import Intruder
from demo.system import System, running
from lab.conformance import gos, nodes, pythons, tck
from lab.conformance.bare import bare
from lab.conformance.expected import EXPECTED
from lab.conformance.forwarder import ASK, MODELS, READ, THINK, forwarding
from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing

INSIDERS = ("orchestrator", "agent/reader", "agent/writer")
HOME = FOLDER / "conformance"
Ran = list[Outcome]


def main(only: Annotated[str, typer.Option(help="suites whose name holds this")] = "") -> None:
    """Run, and say what came of it."""

    async def conformance() -> int:
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with running(HOME / "system", say=say, insiders=INSIDERS, unregistered={"relay": gos.RELAY}) as system:
            ran, skipped = await _all(system, only)
        return _report(ran, skipped)

    sys.exit(until_told(conformance()))


async def _all(system: System, only: str) -> tuple[Ran, dict[str, str]]:
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        tool = f"{await stack.enter_async_context(forwarding(system, intruder, READ))}/mcp"
        stranger = f"{await stack.enter_async_context(forwarding(system, intruder, READ, with_token=False))}/mcp"
        agent = await stack.enter_async_context(forwarding(system, intruder, ASK))
        alone = await stack.enter_async_context(bare(HOME))
        ran: Ran = []
        skipped: dict[str, str] = {}

        async def suite(name: str, what: Callable[[], Awaitable[Outcome | Ran]]) -> None:
            if only.lower() not in name.lower():
                return
            say(name)
            try:
                ran.extend(await _outcomes(name, what))
            except Missing as error:
                skipped[name] = str(error)
                say(f"{name}: skipped, {error}")

        await suite("no token", lambda: pythons.strangers(stranger))
        await suite("Python SDK 2", lambda: pythons.mcp_modern(tool))
        await suite("Python SDK 1", lambda: pythons.mcp_legacy(HOME, tool))
        await suite("A2A SDK", lambda: pythons.agent(agent))
        await suite("A2A compatibility kit", lambda: tck.kit(HOME, agent))
        thinking, listing = [
            await stack.enter_async_context(forwarding(system, intruder, way)) for way in (THINK, MODELS)
        ]
        await suite("OpenAI client", lambda: pythons.openai(thinking, listing))
        await suite("go-spiffe", lambda: gos.spiffe(system, HOME))
        await suite("TypeScript SDKs", lambda: nodes.typescript(HOME, tool))
        await suite("MCP Inspector", lambda: nodes.inspector(HOME, tool))
        await suite("MCP conformance suite", lambda: nodes.mcp_suite(HOME, gated=tool, bare=alone))
    return ran, skipped


async def _outcomes(name: str, what: Callable[[], Awaitable[Outcome | Ran]]) -> Ran:
    """Run a suite; one that does not run to its end has failed as a whole.  Raises `Missing`."""
    try:
        came = await what()
    except Failed as error:
        return [Outcome(name, "", failed={"all": str(error)})]
    return came if isinstance(came, list) else [came]


def _report(ran: Ran, skipped: dict[str, str]) -> int:
    table = Table("suite", "version", "passed", "failed as expected", "skipped", "unexpected", box=HORIZONTALS)
    wrong = 0
    for one in ran:
        unexpected = one.unexpected(EXPECTED.get(one.suite, {}))
        wrong += len(unexpected)
        expected = len(one.failed.keys() - unexpected.keys())
        numbers = map(str, (len(one.passed), expected, one.skipped, len(unexpected)))
        table.add_row(one.suite, one.version, *numbers)
        for name, came in unexpected.items():
            console.print(f"  {one.suite}, {escape(name)}: {escape(came)}", soft_wrap=True)
    for name in skipped:
        table.add_row(name, "", "", "", "all", "")
    console.print(table)
    for one in ran:
        if one.skipped:
            console.print(f"  {one.suite}: {one.skipped} skipped, {escape(one.why_skipped)}", soft_wrap=True)
    for name, why in skipped.items():
        console.print(f"  {name} was skipped: {escape(why)}", soft_wrap=True)
    console.print("All as expected." if not wrong else f"{wrong} not as expected.")
    return 1 if wrong else 0


if __name__ == "__main__":
    go_on_closed()
    typer.run(main)
