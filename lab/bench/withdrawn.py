"""How long a party goes on once its standing is lost: from the act to the first refusal by the tool."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from demo.levers import PAUSE
from demo.refusals import Intruder, answer_to
from demo.standing import PLANTED, Operator, operator, until_restored
from demo.system import System
from lab.bench.numbers import Span
from lab.bench.variants import WITHDRAWN, variant

SECONDS_TO_WAIT = 10
GOOD, REFUSED = "200 ok", "401 withdrawn"

Call = Callable[[], Awaitable[str]]


async def withdrawals(system: System, token: str) -> AsyncIterator[Span]:
    """Suspend a party, then tamper with it, and undo both; `token` is alice's.

    Raises `RuntimeError` where it goes on, or is refused for another reason.
    """
    async with AsyncExitStack() as stack:
        intruder = Intruder(replace(variant(system, "warm"), folder=system.folder), stack)
        olga = await operator(system, await stack.enter_async_context(system.user()))
        t1 = await intruder.token("orchestrator", token, WITHDRAWN, "agent.invoke tool.write inference.run")
        t2 = await intruder.token(WITHDRAWN, t1, "tool/documents", "tool.write")

        async def call() -> str:
            return await answer_to(intruder.list_tools(WITHDRAWN, t2))

        for withdrawn in (_suspended, _tampered):
            if (answer := await call()) != GOOD:
                raise RuntimeError(f"{WITHDRAWN}: {answer}")
            yield await withdrawn(olga, call)
            (await olga.reinstate(WITHDRAWN)).raise_for_status()


async def _suspended(olga: Operator, call: Call) -> Span:
    began = time.monotonic()
    suspending = asyncio.create_task(
        olga.suspend(WITHDRAWN, "the benchmark measures it")
    )  # she waits for Keycloak as well
    span = await _refused("suspend_to_refusal", began, call)
    (await suspending).raise_for_status()
    return span


async def _tampered(olga: Operator, call: Call) -> Span:
    began = time.monotonic()
    try:
        PLANTED.touch()
        return await _refused("drift_to_refusal", began, call)
    finally:
        PLANTED.unlink(missing_ok=True)
        await until_restored(olga)


async def _refused(kind: str, began: float, call: Call) -> Span:
    while (answer := await call()).startswith("200") and time.monotonic() < began + SECONDS_TO_WAIT:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE)
    span = Span(kind, began, time.monotonic())
    if answer != REFUSED:
        raise RuntimeError(f"{kind}: {answer}")
    return span
