"""Makes the attempts that the running system must refuse, and prints the answers.

The walkthrough makes each once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack

import httpx
from spiffe import WorkloadApiClient
from spiffe.errors import PySpiffeError

from demo.again import until_settled
from demo.catalogue import ATTEMPTS, BY_NAME, OF_USERS, PARTIES
from demo.checks import Attempt
from demo.intruder import Intruder, User, answer_to, tool_call
from demo.ways import Try
from start.system import Running
from zerotrust.audit.event_types import Access


async def attempts(system: Running) -> AsyncIterator[Attempt]:
    """Make all attempts, one after the other."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        async for attempt in _try_all(intruder, ATTEMPTS):
            yield attempt
        yield await _try_other_department(intruder)
    yield await ask_for_identity(system.endpoint, system.keycloak.issuer)


async def attempts_of_users(system: Running) -> AsyncIterator[Attempt]:
    """Make those attempts that need no workload."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        async for attempt in _try_all(intruder, OF_USERS):
            yield attempt


async def _try_all(intruder: Intruder, groups: Iterable[str]) -> AsyncIterator[Attempt]:
    alice = User("alice", intruder)
    for who in groups:
        for one in ATTEMPTS[who]:
            yield await _try(alice, who, one)
    for name, (who, one) in BY_NAME.items():
        yield await _try(User(name, intruder), who, one)


async def _try(user: User, who: str, one: Try) -> Attempt:
    answered, expected = await until_settled(lambda: answer_to(one.ask(user, PARTIES.get(who)))), one.expected
    if one.recorded:
        events = user.intruder.system.events("tool/documents")
        reason = [event.data.decision.reason for event in events if isinstance(event.data, Access)][-1]
        answered, expected = (
            f"{said.removeprefix('200 ')}: {why}" for said, why in ((answered, reason), (expected, one.recorded))
        )
    return Attempt(who, one.what, one.control, expected, answered)


async def _try_other_department(intruder: Intruder) -> Attempt:
    """A token for a group that the subject token does not name has expired when it is issued."""
    dana, ours, theirs = User("dana", intruder), "/engineering", "/finance"
    t1 = dana.exchange(dana.t0, "orchestrator", "agent/reader", "agent.invoke tool.read", requested_department=ours)
    t2 = dana.exchange(t1, "agent/reader", "tool/documents", "tool.read", requested_department=theirs)
    who, what = "the reader, in a task of dana's about engineering", "asks for a token for finance, and uses it"

    def ask(user: User, _who: str | None) -> Awaitable[httpx.Response]:
        return user.send("agent/reader", "tool/documents", "/mcp", t2, **tool_call("read", id="FIN-201"))

    return await _try(dana, who, Try(what, "realm: delegation.js", "401 expired", ask))


async def ask_for_identity(endpoint: str, issuer: str) -> Attempt:
    """Have this program, which is not a party, ask for an identity at the Workload API."""
    try:
        with WorkloadApiClient(endpoint) as stranger:
            await asyncio.to_thread(stranger.fetch_jwt_svid, {issuer})
        answered = "an identity"
    except PySpiffeError as error:
        answered = "no identity issued" if "no identity issued" in str(error) else str(error)
    who, what = "a program that is not a party", "asks for an identity"
    return Attempt(who, what, "attestation", "no identity issued", answered)
