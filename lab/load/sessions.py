"""Sessions whose tokens are always in use at every service, until each is revoked."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
from keycloak import KeycloakError

from demo.intruder import Intruder, answer_to
from demo.revocation import sign_in_olga
from demo.revocation_methods import REVOCATION_METHODS, Use, get_tokens
from lab.load.judge import UNANSWERED, Ban, Call, Evidence, Session
from start.system import System
from zt.errors import CommandError
from zt.people.login import LoginError
from zt.people.registry_client import RegistryClient

ACCOUNTS = ("alice", "bob")
PAUSE = 0.1
"""Seconds between two calls with the same token."""
OF_A_SESSION = ("logout", "session", "token", "revoke_token")
OF_A_USER = ("disable_user",)
OF_A_PARTY = ("suspend", "disable_client")
"""The ways to revoke, by their scope; those that affect all sessions are used less often."""
MIX = (*OF_A_SESSION * 3, *OF_A_USER, *OF_A_PARTY)
FAILURES = (httpx.HTTPError, CommandError, KeycloakError, LoginError, OSError, LookupError, ValueError, RuntimeError)
"""The errors of a sign-in, an exchange or a revocation while a server that it needs is not available."""


class Sessions:
    """All sessions.  No two revoke the same party or user at once, because the first to undo it would undo both."""

    def __init__(self, system: System, evidence: Evidence, stack: AsyncExitStack) -> None:
        """Everything that is opened is closed with `stack`."""
        self._system, self._evidence = system, evidence
        self._intruder, self._http = Intruder(system, stack), system.user()
        stack.push_async_callback(self._http.aclose)
        self._revoking = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._signing_in = asyncio.Lock()
        self._undoing: list[asyncio.Task[None]] = []

    async def work(self, account: str, chance: random.Random) -> None:
        """Sign in, work, be revoked, go on calling for a while; again and again."""
        while True:
            try:
                use, session = await self._begin(account)
                calling = [asyncio.create_task(self._call(session, *each)) for each in use.calls().items()]
                try:
                    await asyncio.sleep(chance.uniform(0.5, 3))
                    await self._revoke_and_undo(use, session, chance)
                finally:
                    await end(calling)
            except FAILURES:
                await asyncio.sleep(0.5)

    async def wait_until_recovered(self) -> float:
        """Wait until every service allows all calls again; return the seconds that it took."""
        began = time.monotonic()
        await asyncio.gather(*self._undoing)
        for account in ACCOUNTS:
            while not await self._all_allowed(account):  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(PAUSE)
        return time.monotonic() - began

    async def _all_allowed(self, account: str) -> bool:
        try:
            use, session = await self._begin(account)
            calls = [await _call_once(session, *each) for each in use.calls().items()]
        except FAILURES:
            return False
        self._evidence.calls += calls
        return all(call.allowed for call in calls)

    async def _begin(self, account: str) -> tuple[Use, Session]:
        use = await get_tokens(self._system, self._intruder, await self._sign_in_olga(), user=account)
        return use, Session(account, use.claims["sid"])

    async def _sign_in_olga(self) -> RegistryClient:
        async with self._signing_in:
            return await sign_in_olga(self._system, self._http)

    async def _call(self, session: Session, service: str, call: Callable[[], Awaitable[httpx.Response]]) -> None:
        while True:
            self._evidence.calls.append(await _call_once(session, service, call))
            await asyncio.sleep(PAUSE)

    async def _revoke_and_undo(self, use: Use, session: Session, chance: random.Random) -> None:
        """Revoke, go on for longer than the bound, and undo what affects others."""
        name = chance.choice([name for name in MIX if not self._revoking[_target(name, session)].locked()])
        hit, services = _target(name, session), REVOCATION_METHODS[name].hits
        async with self._revoking[hit]:
            covers = lambda call: call.target in services and _target(name, call.session) == hit  # noqa: E731
            self._evidence.revocations.append(ban := Ban(name, covers, asked=time.monotonic()))
            revoking = asyncio.ensure_future(REVOCATION_METHODS[name].trigger(use))
            try:
                await asyncio.shield(revoking)
                ban.since = time.monotonic()
                await asyncio.sleep(self._evidence.bound + chance.uniform(0.5, 4))
            finally:
                if name not in OF_A_SESSION:
                    ban.until = time.monotonic()
                self._undoing.append(undoing := asyncio.create_task(self._undo(name, use, revoking)))
                await asyncio.shield(undoing)  # once begun, also if this is cancelled

    async def _undo(self, name: str, use: Use, revoking: asyncio.Future[object]) -> None:
        """Undo, for as long as it takes: a server that it needs may not be available."""
        await asyncio.gather(revoking, return_exceptions=True)
        while name not in OF_A_SESSION:
            try:
                use.olga = await self._sign_in_olga()
                await REVOCATION_METHODS[name].undo(use)
                break
            except FAILURES:
                await asyncio.sleep(0.5)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these tasks and wait for them.  Raises what one of them raised."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


def _target(name: str, session: Session) -> str:
    """Return what a revocation affects: only one such at a time."""
    return "party" if name in OF_A_PARTY else session.user if name in OF_A_USER else session.id


async def _call_once(session: Session, service: str, call: Callable[[], Awaitable[httpx.Response]]) -> Call:
    sent = time.monotonic()
    try:
        answer = await answer_to(call())
    except httpx.TimeoutException:
        answer = UNANSWERED
    return Call(session, service, sent, time.monotonic(), answer)
