"""Users, each with their own session and tokens, and a score of the answers that they get."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice

import httpx

from demo.intruder import Intruder, User
from lab.load.judge import REVOKED, UNAVAILABLE, Call, Evidence, Session
from start.system import System
from zt.people.login import LoginError

NAMES = ("alice", "bob", "alice", "bob", "eve")
PAUSE = 0.5
"""The average pause of a user, in seconds."""
LONGEST = 500
"""Characters of a wrong answer that are printed: the end has the reason."""
REFUSED = ("revoked", "exchange_refused", "invalid_client")
"""The reasons for a suspended party: those of services, and those of Keycloak."""
NOT_YET = ("peer_unavailable", "revocation_unknown")
"""The reasons for a party that was just reinstated: it does not listen yet, or does not know yet who is revoked."""

RECEIPTS = re.compile(r"[\w+/=.~-]{200,}")
"""They are most of an answer, and say nothing to people."""

Kind = Callable[[User], Awaitable[str]]
"""An action of a user; returns what is wrong with the answer, or an empty text."""


def users(system: System, count: int, stack: AsyncExitStack) -> Iterator[User]:
    """Yield users, as alice, bob or eve.  Everything that is opened is closed with `stack`."""
    intruder = Intruder(system, stack)
    for seed, name in enumerate(islice(cycle(NAMES), count)):
        yield User(name, intruder, seed=seed)


@dataclass(slots=True)
class Score:
    """The actions, with their durations in seconds, and the wrong answers."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=lambda: Evidence(bound=1))
    """There are no faults here, so that revocations take effect within a second."""
    refused: int = 0
    """Refusals that a revocation explains."""

    @property
    def actions(self) -> int:
        """The number of actions."""
        return sum(map(len, self.took.values()))

    async def act(self, user: User, what: str, kind: Kind) -> None:
        """Let a user do one action."""
        began = time.monotonic()
        try:
            wrong = await kind(user)
        except (LoginError, httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            wrong = f"{type(error).__name__}: {error}"
        ended = time.monotonic()
        self.took[what].append(ended - began)
        answer = UNAVAILABLE if any(word in wrong for word in NOT_YET) else wrong or "done"
        answer = REVOKED if any(word in wrong for word in REFUSED) else answer
        if wrong := self._judge(wrong, Call(Session(user.name), what, began, ended, answer)):
            wrong = RECEIPTS.sub("…", wrong)
            shown = wrong if len(wrong) < LONGEST else f"{wrong[:100]} … {wrong[-LONGEST:]}"
            self.wrong.append(f"{user.name} {what}: {shown}")

    def _judge(self, wrong: str, call: Call) -> str:
        if self.evidence.explains(call):
            self.refused += 1
            return ""
        return wrong or next(self.evidence.late(call), "")

    async def work(self, user: User, kinds: dict[str, Kind]) -> None:
        """Let a user do one action after the other, without end: all kinds, in another order each time."""
        while True:
            for what in user.chance.sample(list(kinds), len(kinds)):
                await self.act(user, what, kinds[what])
                await asyncio.sleep(user.chance.uniform(0, 2 * PAUSE))
