"""Users, each with a session of its own and the tokens that come of it, and how right what they are answered is."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import httpx

from demo.refusals import Intruder, end_of
from lab.load.judge import REVOKED, Call, Evidence, Session
from local.system import System
from zt.login import LoginError

NAMES = ("alice", "bob", "alice", "bob", "eve")
INSIDERS = ("orchestrator", "agent/reader", "agent/writer")
"""Whose identities the attempts of intruders are made with."""
MARGIN = 20
"""Seconds before its end at which a token is no longer used: whatever it is used for has to be over by then."""
PAUSE = 0.5
"""Seconds, on average, that a user thinks."""
LONGEST = 500
"""Letters that are shown of a wrong answer: its end says why."""
REFUSED = ("revoked", "exchange_refused", "invalid_client")
"""What is said of a party that is suspended: by us, and by Keycloak."""

Source = Callable[[], Awaitable[str]]
"""Where a token comes from."""


class Token:
    """A token that is asked for again before it ends; one request for it at a time."""

    def __init__(self, get: Source) -> None:
        self._get, self._token, self._one = get, "", asyncio.Lock()

    async def __call__(self) -> str:
        """The token."""
        async with self._one:
            if not self._token or end_of(self._token) < time.time() + MARGIN:
                self._token = await self._get()
            return self._token


class User:
    """One user with a session of its own, and what an intruder could do with what passes through."""

    def __init__(self, name: str, intruder: Intruder, seed: int = 1, signing_in: asyncio.Lock | None = None) -> None:
        """`signing_in`: one for all sessions of an account, which are begun one after the other."""
        self.name, self.intruder, self._signing_in = name, intruder, signing_in or asyncio.Lock()
        self.chance = random.Random(seed)  # noqa: S311 - to be the same every time
        self.traces: set[str] = set()
        self.t0 = Token(self._sign_in)
        self.t1 = self.exchanged(self.t0, "orchestrator", "agent/reader", "agent.invoke tool.read inference.run")
        self.t2 = self.exchanged(self.t1, "agent/reader", "tool/documents", "tool.read")
        self._ended = ""

    def exchanged(self, token: Source, who: str, audience: str, scopes: str) -> Token:
        """What the workload `who` gets for one of this user's tokens."""

        async def get() -> str:
            return await self.intruder.token(who, await token(), audience, scopes)

        return Token(get)

    async def forged(self) -> str:
        """The user's own token, with another signature."""
        head, _, signature = (await self.t0()).rpartition(".")
        return f"{head}.{signature[::-1]}"

    async def ended(self) -> str:
        """A token for the tool that was good for a second, and is no more."""
        if not self._ended:
            t1 = await self.t1()
            self._ended = await self.intruder.token("agent/reader", t1, "tool/documents", "tool.read", lifetime=1)
            await asyncio.sleep(max(0.0, end_of(self._ended) - time.time()))
        return self._ended

    async def post(self, who: str | None, name: str, path: str, token: Source | None, **more: Any) -> httpx.Response:
        """POST to a party: as the workload `who`, or as the user's own client."""
        return await self.intruder.post(who, name, path, token and await token(), **more)

    async def _sign_in(self) -> str:
        async with self._signing_in:
            return await self.intruder.login(self.name)


Kind = Callable[[User], Awaitable[str]]
"""Something that a user does; it returns what was wrong with the answer, or nothing."""


def users(system: System, count: int, stack: AsyncExitStack) -> Iterator[User]:
    """So many users, as alice, bob or eve.  What is opened is closed with `stack`."""
    intruder, accounts = Intruder(system, stack), defaultdict[str, asyncio.Lock](asyncio.Lock)
    for seed, name in enumerate(islice(cycle(NAMES), count)):
        yield User(name, intruder, seed, accounts[name])


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
