"""No call is allowed too late on the real system: after a revocation, or after a source of revocations fell silent.

Users work with tokens at every service while Keycloak, the registry and a service are paused or killed in turn.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from keycloak import KeycloakError

from demo.intruder import Intruder, answer_to
from demo.revocation import sign_in_olga
from demo.revocation_methods import EVERYWHERE, REVOCATION_METHODS, Use, get_tokens
from start.system import System
from tests.support.real import relaunched
from tests.support.real_processes import process
from zt.audit.journals import first_bad_record
from zt.errors import CommandError
from zt.people.login import LoginError

ROUNDS = 2
MARGIN = 0.1
"""Seconds by which two processes of one machine may disagree about the order of events."""
NO = {"401 revoked", "401 expired", "503 revocation_unknown", "503 issuer_unavailable", "no connection", "no answer"}
"""The answers by which a call is refused; any other answer, also an error of a handler, means that it was allowed."""
OF_A_PARTY, OF_A_USER = {"suspend", "disable_client"}, {"disable_user"}
METHODS = ["logout", "session", "token", "revoke_token", *OF_A_USER, *OF_A_PARTY]
AWAY = (httpx.HTTPError, CommandError, KeycloakError, LoginError, OSError, LookupError, ValueError, RuntimeError)
"""The errors of a sign-in, an exchange or a revocation while a server that it needs is not available."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, with the times just before it was sent and just after it was answered."""

    user: str
    session: str
    target: str
    sent: float
    answered: float
    answer: str


@dataclass(slots=True)
class Ban:
    """A reason to refuse the calls that it covers: an acknowledged revocation, or the silence of a source."""

    what: str
    covers: Callable[[Call], bool]
    since: float
    until: float = float("inf")

    def late(self, call: Call, bound: float) -> bool:
        """Whether the call was sent later than the bound, answered before the ban was undone, and allowed."""
        within = self.since + bound + MARGIN < call.sent and call.answered < self.until
        return within and call.answer not in NO and self.covers(call)


@dataclass(slots=True)
class Run:
    """All calls, revocations and faults."""

    system: System
    intruder: Intruder
    olgas: httpx.AsyncClient
    chance: random.Random
    calls: list[Call] = field(default_factory=list)
    revocations: list[Ban] = field(default_factory=list)
    silences: list[Ban] = field(default_factory=list)
    alone: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """No two revoke the same user or party at once, because the first to undo it would undo both."""

    async def begin(self, user: str) -> Use:
        async with self.alone["olga"]:
            olga = await sign_in_olga(self.system, self.olgas)
        return await get_tokens(self.system, self.intruder, olga, user=user)

    async def call(self, user: str, use: Use, target: str) -> Call:
        sent = time.monotonic()
        try:
            answer = await answer_to(use.calls()[target]())
        except httpx.TimeoutException:
            answer = "no answer"
        self.calls.append(Call(user, use.claims["sid"], target, sent, time.monotonic(), answer))
        return self.calls[-1]

    async def keep_calling(self, user: str, use: Use, target: str) -> None:
        while True:
            await self.call(user, use, target)
            await asyncio.sleep(MARGIN)

    async def work(self, user: str, ending: asyncio.Event) -> None:
        """Sign in, work, be revoked, go on calling for longer than the bound; again and again."""
        while not ending.is_set():
            calling: list[asyncio.Task[None]] = []
            try:
                use = await self.begin(user)
                calling += [asyncio.create_task(self.keep_calling(user, use, target)) for target in EVERYWHERE]
                await asyncio.sleep(self.chance.uniform(0.5, 2))
                await self.revoke(self.chance.choice(METHODS), user, use)
            except AWAY:
                await asyncio.sleep(MARGIN)
            finally:
                for task in calling:
                    task.cancel()
                await asyncio.gather(*calling, return_exceptions=True)

    async def revoke(self, name: str, user: str, use: Use) -> None:
        """Revoke, go on for longer than the bound, and undo it for as long as a server that it needs is away."""
        method, session = REVOCATION_METHODS[name], use.claims["sid"]
        hit = "a party" if name in OF_A_PARTY else user if name in OF_A_USER else session

        def covers(call: Call) -> bool:
            own = name in OF_A_PARTY or hit == (call.user if name in OF_A_USER else call.session)
            return own and call.target in method.hits

        async with self.alone[hit]:
            try:
                await method.trigger(use)
                self.revocations.append(ban := Ban(name, covers, since=time.monotonic()))
                await asyncio.sleep(self.system.registry.freshness.revocations + 1)
                if name in OF_A_PARTY | OF_A_USER:
                    ban.until = time.monotonic()
            finally:  # also what nobody has acknowledged may have taken effect
                while name in OF_A_PARTY | OF_A_USER:
                    try:
                        async with self.alone["olga"]:
                            use.olga = await sign_in_olga(self.system, self.olgas)
                        await method.undo(use)
                        break
                    except AWAY:
                        await asyncio.sleep(MARGIN)

    @asynccontextmanager
    async def paused(self, name: str) -> AsyncIterator[None]:
        pid = self.system.keycloak.pid if name == "Keycloak" else process(self.system, name).process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def killed(self, name: str) -> AsyncIterator[None]:
        killed = process(self.system, name)
        killed.process.kill()
        await killed.ended.wait()
        try:
            yield
        finally:
            await relaunched(self.system, name)

    async def break_everything(self) -> None:
        """Cause each fault in a random order, each until longer than the bound after it began."""
        registry = self.system.registry.authorities.registry
        faults = [(self.paused, name) for name in ("Keycloak", registry, *EVERYWHERE)]
        faults += [(self.killed, name) for name in (registry, *EVERYWHERE)]
        for fault, name in self.chance.sample(faults, len(faults)):
            async with fault(name):
                concerns = [name] if name in EVERYWHERE else EVERYWHERE
                ban = Ban(f"{name} {fault.__name__}", lambda call, of=concerns: call.target in of, time.monotonic())  # type: ignore[misc]
                self.silences.append(ban)
                await asyncio.sleep(self.system.registry.freshness.revocations + 1)
                ban.until = time.monotonic()
            await asyncio.sleep(self.chance.uniform(1, 3))


@pytest.mark.e2e
@pytest.mark.exhaustive
@pytest.mark.asyncio(loop_scope="session")
async def test_no_call_is_allowed_too_late_whatever_is_killed_or_paused_meanwhile(real: System) -> None:
    async with AsyncExitStack() as stack:
        olgas = await stack.enter_async_context(real.user())
        run = Run(real, Intruder(real, stack), olgas, random.Random(6))  # noqa: S311 - reproducible
        ending = asyncio.Event()
        working = [asyncio.create_task(run.work(user, ending)) for user in ("alice", "bob", "alice", "bob")]
        for _ in range(ROUNDS):
            await run.break_everything()
        ending.set()
        await asyncio.gather(*working)
        use = await run.begin("alice")
        async with asyncio.timeout(30):
            for target in EVERYWHERE:  # all goes on by itself
                while (await run.call("alice", use, target)).answer in NO:
                    await asyncio.sleep(MARGIN)

    bound = real.registry.freshness.revocations
    found = [
        f"{call} after {ban.what}"
        for ban in run.revocations + run.silences
        for call in run.calls
        if ban.late(call, bound)
    ]
    assert found == []
    assert len(run.silences) == ROUNDS * 11
    assert {ban.what for ban in run.revocations} & {"session", "token", "suspend", "disable_user"}
    assert Counter(call.answer for call in run.calls).keys() >= {"401 revoked", "503 revocation_unknown"}
    assert {call.target for call in run.calls if call.answer not in NO} == {*EVERYWHERE}
    assert [name for name in real.registry.services if first_bad_record(real.journal(name))] == []
