"""Revokes a party and reinstates it while everything runs: an operator suspends it, or its code changes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx

from demo.checks import ALLOWED, Attempt
from demo.intruder import Intruder, User, answer_to
from start.system import ROOT, Running, System
from zt.errors import RefusedError
from zt.people.authorities import REGISTRY
from zt.people.registry_client import RegistryClient

PLANTED = ROOT / "agents" / "writer" / "planted.py"
"""An empty file, in a folder where every file has to be approved."""
SECONDS_TO_WAIT = 60


async def sign_in_olga(system: Running, http: httpx.AsyncClient) -> RegistryClient:
    """Sign olga in."""
    login = await system.sign_in("olga", REGISTRY.scope, REGISTRY.client)
    return RegistryClient(system.address(system.registry.authorities.registry), http, "olga", login.auth)


async def revocations(system: System) -> AsyncIterator[Attempt]:
    """Suspend the writer, and tamper with its code."""
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        olga = await sign_in_olga(system, http)
        t2 = await User("alice", intruder, agent="agent/writer").t2()

        async def call() -> str:
            return await answer_to(intruder.call_tool("agent/writer", t2, "create", title="A draft", text="text"))

        async def wait_for_refusal() -> str:
            """Repeat the call until it is refused."""
            until = time.monotonic() + SECONDS_TO_WAIT
            while (answer := await call()).startswith("200") and time.monotonic() < until:
                pass
            return answer

        yield Attempt("the writer", "files a draft", ALLOWED, "200 ok", await call())
        suspending = asyncio.create_task(olga.suspend("agent/writer", "the walkthrough shows it"))  # waits for Keycloak
        yield Attempt(
            "the writer, suspended", "files a draft", "registry: revocation", "401 revoked", await wait_for_refusal()
        )
        await suspending
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, reinstated", "files a draft", ALLOWED, "200 ok", await call())

        PLANTED.touch()
        try:
            answered = await wait_for_refusal()
            yield Attempt("the writer, tampered with", "files a draft", "attestation: drift", "401 revoked", answered)
            found = (await olga.party("agent/writer"))["cause"]
            try:
                answered = str(await olga.reinstate("agent/writer"))
            except RefusedError as refused_it:
                answered = refused_it.answer
            yield Attempt("olga", f"reinstates it as it is ({found})", "registry: drift", "409 drifted", answered)
        finally:
            PLANTED.unlink()
        await wait_until_restored(olga)
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, restored", "files a draft", ALLOWED, "200 ok", await call())


async def wait_until_restored(olga: RegistryClient) -> None:
    """Wait until attestation has reported that the writer is as approved.

    On a busy machine the registry may be unable to tell for some seconds (503): then it is asked again.
    """
    async with asyncio.timeout(SECONDS_TO_WAIT):
        while True:
            try:
                if (await olga.party("agent/writer"))["state"] != "drifted":
                    return
            except RefusedError as refused:
                if not refused.answer.startswith("503"):
                    raise
