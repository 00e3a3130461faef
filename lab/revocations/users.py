"""Users whose tokens are in use at every service all the time, and what is revoked of them meanwhile."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from keycloak import KeycloakError

from demo.refusals import Intruder, answer_to
from demo.revocation import Operator, operator
from demo.revocation_methods import REVOCATION_METHODS, Use, in_use
from lab.revocations.judge import UNANSWERED, Ban, Call, Chain, Evidence
from local.system import System
from zt.login import LoginError

ACCOUNTS = ("alice", "bob")
PAUSE = 0.1
"""Seconds between two calls of the same token."""
OF_A_CHAIN = ("logout", "session", "token", "revoke_token")
OF_A_USER = ("disable_user",)
OF_A_PARTY = ("suspend", "disable_client")
"""The levers, by whom they hit; the last ones hit everybody, so they are pulled less often."""
MIX = (*OF_A_CHAIN * 3, *OF_A_USER, *OF_A_PARTY)
FAILURES = (httpx.HTTPError, KeycloakError, LoginError, OSError, LookupError, ValueError, RuntimeError)
"""What becomes of a sign-in, an exchange or a lever while whoever is needed for it is away."""


class Users:
    """All of them.  Two do not pull a lever on the same party, or the same account, at once: one would undo both."""

    def __init__(self, system: System, evidence: Evidence, stack: AsyncExitStack) -> None:
        """What is opened is closed with `stack`."""
        self._system, self._evidence = system, evidence
        self._intruder, self._http = Intruder(system, stack), system.user()
        stack.push_async_callback(self._http.aclose)
        self._pulling = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._signing_in = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._undoing: list[asyncio.Task[None]] = []

    async def work(self, account: str, chance: random.Random) -> None:
        """Sign in, work, lose what was had, go on trying for a while; for ever."""
        while True:
            try:
                async with self._at_work(account) as (use, chain):
                    await asyncio.sleep(chance.uniform(0.5, 3))
                    await self._lose(use, chain, chance)
            except FAILURES:
                await asyncio.sleep(0.5)

    async def recovered(self) -> float:
        """Wait until every service says yes to everybody again; return the seconds that it took."""
        began = time.monotonic()
        await asyncio.gather(*self._undoing)
        for account in ACCOUNTS:
            while not await self._let_in(account):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(PAUSE)
        return time.monotonic() - began

    async def _let_in(self, account: str) -> bool:
        try:
            use, chain = await self._signed_in(account)
            calls = [await _once(chain, name, call) for name, call in use.calls().items()]
        except FAILURES:
            return False
        self._evidence.calls += calls
        return all(call.allowed for call in calls)

    async def _signed_in(self, account: str) -> tuple[Use, Chain]:
        olga = await self._operator()
        async with self._signing_in[account]:
            use = await in_use(self._system, self._intruder, olga, user=account)
        return use, Chain(account, use.claims["sid"])

    async def _operator(self) -> Operator:
        async with self._signing_in["olga"]:
            return await operator(self._system, self._http)

    @asynccontextmanager
    async def _at_work(self, account: str) -> AsyncIterator[tuple[Use, Chain]]:
        """With tokens of a new session, which are in use at every service in this block."""
        use, chain = await self._signed_in(account)
        calling = [asyncio.create_task(self._call(chain, name, call)) for name, call in use.calls().items()]
        try:
            yield use, chain
        finally:
            for task in calling:
                task.cancel()
            await asyncio.gather(*calling, return_exceptions=True)
        for task in calling:
            if not task.cancelled():
                task.result()

    async def _call(self, chain: Chain, service: str, call: Callable[[], Awaitable[httpx.Response]]) -> None:
        while True:
            self._evidence.calls.append(await _once(chain, service, call))
            await asyncio.sleep(PAUSE)

    async def _lose(self, use: Use, chain: Chain, chance: random.Random) -> None:
        """Pull a lever, go on for longer than the bound, and undo what would hit others."""
        name = chance.choice([name for name in MIX if not self._pulling[_one_of(name, chain)].locked()])
        lever, one = REVOCATION_METHODS[name], _one_of(name, chain)

        def covers(other: Chain, service: str) -> bool:
            return service in lever.hits and _one_of(name, other) == one

        async with self._pulling[one]:
            pulling = asyncio.ensure_future(lever.trigger(use))
            ban = None
            try:
                await asyncio.shield(pulling)
                ban = Ban(name, covers, since=time.monotonic())
                self._evidence.revocations.append(ban)
                await asyncio.sleep(self._evidence.bound + chance.uniform(0.5, 4))
            except FAILURES:
                self._evidence.not_acknowledged += 1
            finally:
                if ban and name not in OF_A_CHAIN:
                    ban.until = time.monotonic()
                self._undoing.append(undoing := asyncio.create_task(self._undo(name, use, pulling)))
                await asyncio.shield(undoing)  # once begun, also where this is cut off

    async def _undo(self, name: str, use: Use, pulling: asyncio.Future[None]) -> None:
        """For as long as it takes: whoever is needed for it may be away, or hear only now that it was pulled."""
        await asyncio.gather(pulling, return_exceptions=True)
        while name not in OF_A_CHAIN:
            try:
                use.olga = await self._operator()
                await REVOCATION_METHODS[name].undo(use)
                break
            except FAILURES:
                await asyncio.sleep(0.5)


def _one_of(lever: str, chain: Chain) -> str:
    """Whom a lever hits: of these one at a time."""
    return "party" if lever in OF_A_PARTY else chain.user if lever in OF_A_USER else chain.session


async def _once(chain: Chain, service: str, call: Callable[[], Awaitable[httpx.Response]]) -> Call:
    sent = time.monotonic()
    try:
        answer = await answer_to(call())
    except httpx.TimeoutException:
        answer = UNANSWERED
    return Call(chain, service, sent, time.monotonic(), answer)
