"""How long a party goes on once its standing is lost: from the act to the first refusal by the tool."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from demo.refusals import Intruder, answer_to
from demo.revocation import PLANTED, Operator, operator, until_restored
from demo.revocation_methods import PAUSE
from lab.bench.numbers import Span
from lab.bench.variants import REVOKED, variant
from local.system import System

SECONDS_TO_WAIT = 10
GOOD, REFUSED = "200 ok", "401 revoked"

Call = Callable[[], Awaitable[str]]


async def revocations(system: System, token: str) -> AsyncIterator[Span]:
    """Suspend a party, then tamper with it, and undo both; `token` is alice's.

    Raises `RuntimeError` where it goes on, or is refused for another reason.
    """
    async with AsyncExitStack() as stack:
        intruder = Intruder(replace(variant(system, "warm"), folder=system.folder), stack)
        olga = await operator(system, await stack.enter_async_context(system.user()))
        t1 = await intruder.token("orchestrator", token, REVOKED, "agent.invoke tool.write inference.run")
        t2 = await intruder.token(REVOKED, t1, "tool/documents", "tool.write")

        async def call() -> str:
            return await answer_to(intruder.list_tools(REVOKED, t2))

        for revoked in (_suspended, _tampered):
            if (answer := await call()) != GOOD:
                raise RuntimeError(f"{REVOKED}: {answer}")
            yield await revoked(olga, call)
            (await olga.reinstate(REVOKED)).raise_for_status()


async def _suspended(olga: Operator, call: Call) -> Span:
    began = time.monotonic()
    suspending = asyncio.create_task(
        olga.suspend(REVOKED, "the benchmark measures it")
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
