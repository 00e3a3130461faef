"""Revokes a party and reinstates it while everything runs: an operator suspends it, or its code changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx

from demo.again import insist, until_settled
from demo.checks import ALLOWED, Attempt
from demo.intruder import Intruder, User, answer_to
from start.system import ROOT, Running, System
from zt.errors import RefusedError
from zt.people.authorities import REGISTRY
from zt.people.registry_client import RegistryClient

PLANTED = ROOT / "agents" / "writer" / "planted.py"
"""An empty file, in a folder where every file has to be approved."""
WHY = "the walkthrough shows it"


async def sign_in_olga(system: Running, http: httpx.AsyncClient) -> RegistryClient:
    """Sign olga in."""
    login = await system.sign_in("olga", REGISTRY.scope, REGISTRY.client)
    return RegistryClient(system.address(system.registry.authorities.registry), http, "olga", login.auth)


async def revocations(system: System) -> AsyncIterator[Attempt]:
    """Suspend the writer, and tamper with its code."""
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        token = User("alice", intruder, agent="agent/writer").t2

        async def call(held: str = "") -> str:
            held = held or await token()
            return await answer_to(intruder.call_tool("agent/writer", held, "create", title="A draft", text="text"))

        async def wait_for_refusal(held: str) -> str:
            return await until_settled(lambda: call(held), "200")

        async def reinstate() -> str:
            """Have olga reinstate the writer, once it is as approved.  Return how its next call is answered."""
            olga = await sign_in_olga(system, http)
            await wait_until_restored(olga)
            await insist(lambda: olga.reinstate("agent/writer"))
            return await until_settled(call, "401")

        yield Attempt("the writer", "files a draft", ALLOWED, "200 ok", await until_settled(call))
        held = await token()
        olga = await sign_in_olga(system, http)
        suspending = asyncio.create_task(insist(lambda: olga.suspend("agent/writer", WHY)))  # waits for Keycloak
        try:
            answered = await wait_for_refusal(held)
            yield Attempt("the writer, suspended", "files a draft", "registry: revocation", "401 revoked", answered)
        finally:
            await asyncio.wait([suspending])
            answered = await reinstate()
        yield Attempt("the writer, reinstated", "files a draft", ALLOWED, "200 ok", answered)

        held = await token()
        olga = await sign_in_olga(system, http)
        PLANTED.touch()
        try:
            answered = await wait_for_refusal(held)
            yield Attempt("the writer, tampered with", "files a draft", "attestation: drift", "401 revoked", answered)
            found = (await insist(lambda: olga.party("agent/writer")))["cause"]
            try:
                answered = str(await insist(lambda: olga.reinstate("agent/writer")))
            except RefusedError as refused_it:
                answered = refused_it.answer
            yield Attempt("olga", f"reinstates it as it is ({found})", "registry: drift", "409 drifted", answered)
        finally:
            PLANTED.unlink()
            answered = await reinstate()
        yield Attempt("the writer, restored", "files a draft", ALLOWED, "200 ok", answered)


async def wait_until_restored(olga: RegistryClient) -> None:
    """Wait until attestation has reported that the writer is as approved.  Raises `CommandError` and `TimeoutError`."""

    async def state() -> str:
        return str((await insist(lambda: olga.party("agent/writer")))["state"])

    if await until_settled(state, "drifted") == "drifted":
        raise TimeoutError("the writer is as approved, and attestation has not reported it")
