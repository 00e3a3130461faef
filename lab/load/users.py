"""Users, each with a session of its own and the tokens that come of it, and how right what they are answered is."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice

import httpx

from demo.intruder import Intruder, User
from lab.load.judge import REVOKED, Call, Evidence, Session
from local.system import System
from zt.login import LoginError

NAMES = ("alice", "bob", "alice", "bob", "eve")
PAUSE = 0.5
"""Seconds, on average, that a user thinks."""
LONGEST = 500
"""Letters that are shown of a wrong answer: its end says why."""
REFUSED = ("revoked", "exchange_refused", "invalid_client")
"""What is said of a party that is suspended: by us, and by Keycloak."""

Kind = Callable[[User], Awaitable[str]]
"""Something that a user does; it returns what was wrong with the answer, or nothing."""


def users(system: System, count: int, stack: AsyncExitStack) -> Iterator[User]:
    """So many users, as alice, bob or eve.  What is opened is closed with `stack`."""
    intruder = Intruder(system, stack)
    for seed, name in enumerate(islice(cycle(NAMES), count)):
        yield User(name, intruder, seed=seed)


@dataclass(slots=True)
class Score:
    """What was tried, how long each took in seconds, and what went wrong."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=lambda: Evidence(bound=1))
    """Nothing is at fault here, so what is revoked is refused within a second."""
    refused: int = 0
    """Answers that a revocation explains."""

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
        answer = REVOKED if any(word in wrong for word in REFUSED) else wrong or "done"
        if wrong := self._judged(wrong, Call(Session(user.name), what, began, ended, answer)):
            shown = wrong if len(wrong) < LONGEST else f"{wrong[:100]} … {wrong[-LONGEST:]}"
            self.wrong.append(f"{user.name} {what}: {shown}")

    def _judged(self, wrong: str, call: Call) -> str:
        if self.evidence.explains(call):
            self.refused += 1
            return ""
        return wrong or next(self.evidence.late(call), "")

    async def work(self, user: User, kinds: dict[str, Kind]) -> None:
        """Let a user do one thing after the other, for ever: all kinds in turn, each turn in another order."""
        while True:
            for what in user.chance.sample(list(kinds), len(kinds)):
                await self.once(user, what, kinds[what])
                await asyncio.sleep(user.chance.uniform(0, 2 * PAUSE))
