"""An operator who suspends the writer now and then, and what users must be told meanwhile."""

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from demo.revocation import operator
from local.system import System

SUSPENDED = "agent/writer"
EVERY, FOR = 20, 3
"""Seconds from one suspension to the next, and how long each lasts."""
GRACE = 1
"""Seconds after her word was taken, in which an answer may still be of before."""
NOTIFIED = ("revoked", "exchange_refused", "invalid_client")
"""What is told of a party that is suspended: by us, and by Keycloak."""


@dataclass(slots=True)
class Suspension:
    """One, from her word to her next one."""

    began: float
    holds: float = math.inf
    ending: float = math.inf
    over: float = math.inf

    def touches(self, began: float, ended: float) -> bool:
        """Whether something that took that long may have met it."""
        return self.began <= ended and began <= self.over

    def covers(self, began: float, ended: float) -> bool:
        """Whether it cannot but have met it."""
        return self.holds <= began and ended <= self.ending


@dataclass(slots=True)
class Suspensions:
    """All of them, and what follows for the answers that users get."""

    seen: list[Suspension] = field(default_factory=list)
    refused: int = 0
    """Answers that told of one."""

    def judged(self, wrong: str, began: float, ended: float) -> str:
        """What is wrong with an answer of something the suspended party has a part in; `wrong` is so if nobody is."""
        if wrong and any(word in wrong for word in NOTIFIED) and any(one.touches(began, ended) for one in self.seen):
            self.refused += 1
            return ""
        if not wrong and any(one.covers(began, ended) for one in self.seen):
            return f"it was done, and {SUSPENDED} was suspended"
        return wrong

    async def go_on(self, system: System) -> None:
        """Suspend and reinstate, for ever.  Raises `RuntimeError` where the registry will not."""
        while True:
            await asyncio.sleep(EVERY - FOR)
            await self.once(system)

    async def once(self, system: System) -> None:
        """Suspend for a while."""
        async with AsyncExitStack() as stack:
            olga = await operator(system, await stack.enter_async_context(system.user()))
            self.seen.append(one := Suspension(time.monotonic()))
            try:
                (await olga.suspend(SUSPENDED, "the soak tries it")).raise_for_status()
                one.holds = time.monotonic() + GRACE
                await asyncio.sleep(FOR)
            finally:
                one.ending = time.monotonic()
                (await olga.reinstate(SUSPENDED)).raise_for_status()
                one.over = time.monotonic() + GRACE
