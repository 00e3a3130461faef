"""Revokes parties while everything runs, in each way, and reinstates them.

An operator suspends an agent; an agent's code changes; another process takes an agent's place.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from a2a.types import AgentCard
from starlette.types import Receive, Scope, Send

from authorities.attestation.local.launch import Launch
from demo.checks import ALLOWED, Attempt
from demo.intruder import Intruder, User, answer_to
from demo.ways import TASK
from local.alone import DemoError
from local.launches import settings
from local.system import HOST, ROOT, Running, System
from local.waiting import started
from zerotrust.adapters.agent_card import agent_card, signed_card
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.server import server
from zt.doors import REGISTRY
from zt.errors import RefusedError
from zt.registry_client import RegistryClient

PLANTED = ROOT / "agents" / "writer" / "planted.py"
"""An empty file, in a folder where every file has to be approved."""
SECONDS_TO_WAIT = 60
RECEIVED = {"": "no request", "GET /.well-known/agent-card.json": "no token"}
"""What the call of the orchestrator came to: the requests that an impostor got of it."""


async def operator(system: Running, http: httpx.AsyncClient) -> RegistryClient:
    """Sign olga in."""
    token = (await system.sign_in("olga", REGISTRY.scope, REGISTRY.client)).access_token
    return RegistryClient(system.address(system.registry.authorities.registry), http, "olga", token)


async def revocations(system: System) -> AsyncIterator[Attempt]:
    """Suspend the writer, and tamper with its code."""
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        olga = await operator(system, http)
        t2 = await User("alice", intruder, agent="agent/writer").t2()

        async def call() -> str:
            return await answer_to(intruder.call_tool("agent/writer", t2, "create", title="A draft", text="text"))

        async def refused() -> str:
            """Repeat the call until it is refused."""
            until = time.monotonic() + SECONDS_TO_WAIT
            while (answer := await call()).startswith("200") and time.monotonic() < until:
                pass
            return answer

        yield Attempt("the writer", "files a draft", ALLOWED, "200 ok", await call())
        suspending = asyncio.create_task(olga.suspend("agent/writer", "the walkthrough shows it"))  # waits for Keycloak
        yield Attempt("the writer, suspended", "files a draft", "registry: revocation", "401 revoked", await refused())
        await suspending
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, reinstated", "files a draft", ALLOWED, "200 ok", await call())

        PLANTED.touch()
        try:
            answered = await refused()
            yield Attempt("the writer, tampered with", "files a draft", "attestation: drift", "401 revoked", answered)
            found = (await olga.party("agent/writer"))["cause"]
            try:
                answered = str(await olga.reinstate("agent/writer"))
            except RefusedError as refused_it:
                answered = refused_it.answer
            yield Attempt("olga", f"reinstates it as it is ({found})", "registry: drift", "409 drifted", answered)
        finally:
            PLANTED.unlink()
        await until_restored(olga)
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, restored", "files a draft", ALLOWED, "200 ok", await call())


async def until_restored(olga: RegistryClient) -> None:
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


async def rogues(system: System) -> AsyncIterator[Attempt]:
    """End the reader, and let others take its place.

    The orchestrator is started anew before: a new one has not yet been shown the genuine agent's card.
    """
    await _relaunched(system, "orchestrator")
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        headers = {"authorization": f"Bearer {await intruder.login('alice')}"}
        (reader,) = [one for one in system.authority.running if one.launch.name == "agent/reader"]
        await reader.end()
        card = agent_card("agent/reader", system.registry.address("agent/reader"), ["agent.invoke"])
        forged = agent_card("agent/reader", "https://evil.example", ["agent.invoke"])
        for who, inside, shown, control, expected in (
            (
                "the writer, in the reader's place",
                "agent/writer",
                card,
                "mutual TLS: the name",
                "peer_unavailable, no request",
            ),
            (
                "an intruder in the reader itself",
                "agent/reader",
                forged,
                "registry: the card's digest",
                "peer_untrusted, no token",
            ),
        ):
            async with _in_its_place(system, await system.svid(inside), shown) as received:
                answer = await http.post(f"{system.address('orchestrator')}/tasks", json=TASK, headers=headers)
            text = str(answer.json()["result"]["text"]).removeprefix("agent/reader: ")
            requests = ", ".join(received)
            answered = f"{text}, {RECEIVED.get(requests, requests)}"
            yield Attempt(who, "takes the orchestrator's call", control, expected, answered)
        await _relaunched(system, "agent/reader")


async def _relaunched(system: System, name: str) -> None:
    """End a party, if it runs, and launch it anew: it remembers nothing."""
    for one in system.authority.running:
        if one.launch.name == name:
            await one.end()
    launch = Launch.registered(system.registry, name, settings(system, name))
    await started(system, system.place(name), await system.authority.launch(launch))


@asynccontextmanager
async def _in_its_place(system: System, svid: Svid, card: AgentCard) -> AsyncIterator[list[str]]:
    """Listen at the reader's address with this SVID and this card; yield the list of received requests."""
    received: list[str] = []

    async def listen(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        carried = " with a token" if b"authorization" in dict(scope["headers"]) else ""
        received.append(f"{scope['method']} {scope['path']}{carried}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(signed_card(card, svid)).encode()})

    rogue = server(
        listen, host=HOST, port=system.port("agent/reader"), tls=server_context(svid, certificate_needed=False)
    )
    serving = asyncio.create_task(rogue.serve())
    while not rogue.started:
        if serving.done():
            raise DemoError(f"nothing listens at the address of {svid.id}")
        await asyncio.sleep(0.01)
    try:
        yield received
    finally:
        rogue.should_exit = True
        await serving
