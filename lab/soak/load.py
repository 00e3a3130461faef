"""All users at work, each in its own task, until told to end."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

import httpx

from demo.refusals import Intruder
from lab.soak.operator import Suspensions
from lab.soak.users import THROUGH_THE_WRITER, Kind, User, kinds_of
from local.system import System
from zt.login import LoginError

NAMES = ("alice", "bob", "alice", "bob", "eve")
INSIDERS = ("orchestrator", "agent/reader", "agent/writer")
"""Whose identities some of the refused attempts are made with."""
LONGEST = 500
"""Letters that are shown of a wrong answer: its end says why."""
PAUSE = 0.5
"""Seconds, on average, that a user thinks."""


@dataclass(slots=True)
class Score:
    """What was tried, how long each took in seconds, and what went wrong."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    suspensions: Suspensions = field(default_factory=Suspensions)

    @property
    def tried(self) -> int:
        """How many there were."""
        return sum(map(len, self.took.values()))

    async def once(self, user: User, what: str, kind: Kind) -> None:
        """Let a user do this once."""
        began = time.monotonic()
        try:
            wrong = await kind(user)
        except (LoginError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            wrong = f"{type(error).__name__}: {error}"
        ended = time.monotonic()
        self.took[what].append(ended - began)
        if what in THROUGH_THE_WRITER:
            wrong = self.suspensions.judged(wrong, began, ended)
        if wrong:
            self.wrong.append(
                f"{user.name} {what}: {wrong if len(wrong) < LONGEST else f'{wrong[:100]} … {wrong[-LONGEST:]}'}"
            )


@asynccontextmanager
async def users(system: System, count: int) -> AsyncIterator[list[User]]:
    """So many users, each with a session of its own, as alice, bob or eve."""
    accounts = defaultdict[str, asyncio.Lock](asyncio.Lock)
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        yield [
            User(name, intruder, random.Random(number), accounts[name])  # noqa: S311 - to be the same every time
            for number, name in zip(range(count), cycle(NAMES), strict=False)
        ]


async def work(user: User, score: Score) -> None:
    """One thing after the other, for ever: all kinds in turn, each turn in another order."""
    kinds = kinds_of(user.name)
    while True:
        for what in user.chance.sample(list(kinds), len(kinds)):
            await score.once(user, what, kinds[what])
            await asyncio.sleep(user.chance.uniform(0, 2 * PAUSE))
