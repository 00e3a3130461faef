"""Who loses their standing, and how: each tried for real while everything runs, and undone again.

An operator suspends an agent; an agent's code changes; a rogue takes an agent's place.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from a2a.types import AgentCard
from starlette.types import Receive, Scope, Send

from authorities.attestation.local.launch import Launch
from demo.refusals import TASK, Attempt, Intruder, answer_to
from local.system import HOST, ROOT, System, settings, started
from zerotrust.adapters.agent_card import agent_card, signed_card
from zerotrust.registry.snapshot import REGISTRY_PARTY
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import server_context
from zerotrust.transport.server import server
from zt.login import sign_in

PLANTED = ROOT / "agents" / "writer" / "planted.py"
"""A file that does nothing, in a folder where nothing may be that was not approved."""
SECONDS_TO_WAIT = 10


class Operator:
    """olga, at the registry's door, as `zt` is."""

    def __init__(self, system: System, http: httpx.AsyncClient, token: str) -> None:
        self._address, self._http, self._headers = (
            system.address(REGISTRY_PARTY),
            http,
            {"authorization": f"Bearer {token}"},
        )

    async def suspend(self, name: str, cause: str) -> httpx.Response:
        """Suspend a party."""
        url = f"{self._address}/parties/{name}/suspend"
        return await self._http.post(url, json={"cause": cause}, headers=self._headers)

    async def reinstate(self, name: str) -> httpx.Response:
        """Let it take part again."""
        return await self._http.post(f"{self._address}/parties/{name}/reinstate", headers=self._headers)

    async def revoke(self, kind: str, name: str) -> httpx.Response:
        """Revoke a session, a user or a token."""
        asked = {"kind": kind, "name": name, "cause": "the walkthrough shows it"}
        return await self._http.post(f"{self._address}/revocations", json=asked, headers=self._headers)

    async def revoked(self) -> list[dict[str, Any]]:
        """Everything that is revoked."""
        answer = await self._http.get(f"{self._address}/revocations", headers=self._headers)
        told: list[dict[str, Any]] = answer.raise_for_status().json()["revoked"]
        return told

    async def state(self, name: str) -> dict[str, Any]:
        """How it stands, and why."""
        answer = await self._http.get(f"{self._address}/parties/{name}", headers=self._headers)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told


async def operator(system: System, http: httpx.AsyncClient) -> Operator:
    """Sign olga in."""
    keycloak = system.keycloak
    password = keycloak.passwords["olga"]
    login = await sign_in(keycloak.issuer, "zt", "olga", password, "registry.admin", verify=keycloak.tls)
    return Operator(system, http, login.access_token)


async def revocations(system: System, took: list[float]) -> AsyncIterator[Attempt]:
    """Suspend and tamper; `took` gets the seconds until the writer was refused, each time."""
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        olga = await operator(system, http)
        t0 = await intruder.login("alice")
        t1 = await intruder.token("orchestrator", t0, "agent/writer", "agent.invoke tool.write inference.run")
        t2 = await intruder.token("agent/writer", t1, "tool/documents", "tool.write")

        async def call() -> str:
            return await answer_to(intruder.call_tool("agent/writer", t2, "create", title="A draft", text="text"))

        async def refused() -> str:
            """Ask until the answer is another one."""
            since = time.monotonic()
            while (answer := await call()).startswith("200") and time.monotonic() < since + SECONDS_TO_WAIT:
                pass
            took.append(time.monotonic() - since)
            return answer

        yield Attempt("the writer", "files a draft", "nobody", "200 ok", await call())
        suspending = asyncio.create_task(olga.suspend("agent/writer", "the walkthrough shows it"))  # waits for Keycloak
        yield Attempt("the writer, suspended", "files a draft", "registry: standing", "401 revoked", await refused())
        await suspending
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, reinstated", "files a draft", "nobody", "200 ok", await call())

        PLANTED.touch()
        try:
            yield Attempt(
                "the writer, tampered with",
                "files a draft",
                "attestation: drift",
                "401 revoked",
                await refused(),
            )
            found = (await olga.state("agent/writer"))["cause"]
            answered = await answer_to(olga.reinstate("agent/writer"))
            yield Attempt("olga", f"reinstates it as it is ({found})", "registry: drift", "409 drifted", answered)
        finally:
            PLANTED.unlink()
        await until_restored(olga)
        await olga.reinstate("agent/writer")
        yield Attempt("the writer, restored", "files a draft", "nobody", "200 ok", await call())


async def until_restored(olga: Operator) -> None:
    """Wait until attestation has told that the writer is as it was approved."""
    async with asyncio.timeout(SECONDS_TO_WAIT):
        while (await olga.state("agent/writer"))["state"] == "drifted":
            pass


async def rogues(system: System) -> AsyncIterator[Attempt]:
    """Before anybody has asked anything: end the reader, and let others take its place."""
    async with AsyncExitStack() as stack:
        intruder, http = Intruder(system, stack), await stack.enter_async_context(system.user())
        headers = {"authorization": f"Bearer {await intruder.login('alice')}"}
        (reader,) = [one for one in system.authority.running if one.launch.name == "agent/reader"]
        await reader.end()
        card = agent_card("agent/reader", system.registry.address("agent/reader"))
        forged = agent_card("agent/reader", "https://evil.example")
        for who, inside, shown, control, told in (
            (
                "the writer, in the reader's place",
                "agent/writer",
                card,
                "mutual TLS: the name",
                "peer_unavailable; heard nothing",
            ),
            (
                "an intruder in the reader itself",
                "agent/reader",
                forged,
                "registry: the card's digest",
                "peer_untrusted; heard GET /.well-known/agent-card.json",
            ),
        ):
            async with _in_its_place(system, await system.svid(inside), shown) as heard:
                answer = await http.post(f"{system.address('orchestrator')}/tasks", json=TASK, headers=headers)
            text = str(answer.json()["result"]["text"]).removeprefix("agent/reader: ")
            yield Attempt(
                who, "takes the orchestrator's call", control, told, f"{text}; heard {', '.join(heard) or 'nothing'}"
            )
        relaunched = Launch.registered(system.registry, "agent/reader", settings(system, "agent/reader"))
        await started(system, system.place("agent/reader"), await system.authority.launch(relaunched))


@asynccontextmanager
async def _in_its_place(system: System, svid: Svid, card: AgentCard) -> AsyncIterator[list[str]]:
    """Listen where the reader would, with this SVID and this card; yield what is heard."""
    heard: list[str] = []

    async def listen(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        carried = " with a token" if b"authorization" in dict(scope["headers"]) else ""
        heard.append(f"{scope['method']} {scope['path']}{carried}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(signed_card(card, svid)).encode()})

    rogue = server(
        listen, host=HOST, port=system.port("agent/reader"), tls=server_context(svid, certificate_needed=False)
    )
    serving = asyncio.create_task(rogue.serve())
    await asyncio.sleep(0.2)
    try:
        yield heard
    finally:
        rogue.should_exit = True
        await serving
