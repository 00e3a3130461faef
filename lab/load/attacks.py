"""Attacks by load, each as it was made against this system before it had bounds.

An attack runs in many tasks until its process is ended; `seen` counts its answers.
"""

import asyncio
import itertools
import json
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx

from demo.intruder import Intruder, Token, User, tool_call
from lab.load.raw_client import RawClient
from lab.load.stories import READING
from local.keycloak_options import URL
from local.system import System
from zerotrust.registry.feed import PATH as FEED
from zerotrust.spiffe.tls import client_context, user_context

MIB = 1 << 20
DEEP = b'{"kind":[' + b",".join([b"[" * 60 + b"]" * 60] * (MIB // 121 - 1)) + b"]}"
MANY = b'{"kind":[' + b",".join([b'{"":0}'] * (MIB // 7 - 2)) + b"]}"
"""Valid JSON of nearly 1 MiB that used to take half a second to parse and validate."""
STRANGERS = 500
"""Requests a second."""
T = TypeVar("T")


class Attacker:
    """An attacker: a user who may sign in, or code in a compromised party.  Counts the answers in `seen`."""

    def __init__(self, system: System, stack: AsyncExitStack) -> None:
        """Everything that is opened is closed with `stack`."""
        self.system, self.intruder, self.seen, self._stack = system, Intruder(system, stack), Counter[str](), stack

    def clients(self, count: int, name: str, tls: ssl.SSLContext | None = None) -> list[RawClient]:
        """Return clients of a party, by default without a certificate."""
        directory, address = self.system.directory, self.system.address(name)
        tls = tls or user_context(self.system.authority.ca_file.read_text(), directory.parties)
        clients = [RawClient(self.system.place(name), directory.names[address], tls) for _ in range(count)]
        for client in clients:
            self._stack.callback(client.close)
        return clients

    async def often(self, clients: Iterable[T], once: Callable[[T], Awaitable[object]]) -> None:
        """Repeat `once` without end, for all clients concurrently."""

        async def one(client: T) -> None:
            while True:
                try:
                    self.seen[str(await once(client))] += 1
                except (OSError, EOFError, TimeoutError, httpx.HTTPError) as error:
                    self.seen[type(error).__name__] += 1
                    await asyncio.sleep(0.05)

        await asyncio.gather(*map(one, clients))


async def nested_bodies(attacker: Attacker) -> None:
    """eve, in no department: 1 MiB of nested JSON at the registry's routes for operators, and at the orchestrator."""

    async def operator() -> str:
        return (await attacker.system.sign_in("eve", "registry.admin", "zt")).access_token

    doors = [
        ("authority/registry", "/revocations", Token(operator)),
        ("orchestrator", "/tasks", User("eve", attacker.intruder).t0),
    ]
    sending = []
    for name, path, token in doors:
        await token()  # signs in before the attack starts
        for body in DEEP, MANY:
            sending += [(client, path, token, body) for client in attacker.clients(15, name)]

    async def once(sent: tuple[RawClient, str, Token, bytes]) -> object:
        client, path, token, body = sent
        return await client.ask("POST", path, token, body)

    await attacker.often(sending, once)


async def streams(attacker: Attacker) -> None:
    """A compromised writer: 620 streams of the registry's feed, each begun again when it ends.

    Not the reader, because a compromised agent can always block the tasks that pass through it.
    """

    async def once(_number: int) -> object:
        tls = client_context(await attacker.system.svid("agent/writer"), attacker.system.directory.parties)
        (client,) = attacker.clients(1, "authority/registry", tls)
        return "streamed" if await client.listen(FEED) else "ended at once"

    await attacker.often(range(620), once)


async def revocations(attacker: Attacker) -> None:
    """eve: she refreshes her session and revokes the new token (RFC 7009), in 20 sessions at once."""
    keycloak, endpoints = attacker.system.keycloak, attacker.system.keycloak.metadata
    refresh = [(await attacker.system.sign_in("eve", "task.run")).refresh_token for _ in range(20)]
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as http:

        async def once(number: int) -> object:
            form = {"grant_type": "refresh_token", "client_id": "walkthrough", "refresh_token": refresh[number]}
            answer = await http.post(endpoints.token_endpoint, data=form)
            if answer.status_code != 200:  # the session has been ended
                refresh[number] = (await attacker.system.sign_in("eve", "task.run")).refresh_token
                return f"refresh {answer.status_code}"
            refresh[number] = answer.json()["refresh_token"]
            form = {"client_id": "walkthrough", "token": answer.json()["access_token"]}
            return f"revoke {(await http.post(endpoints.revocation_endpoint, data=form)).status_code}"

        await attacker.often(range(len(refresh)), once)


async def refusals(attacker: Attacker) -> None:
    """eve: as many refused calls as possible, because each used to be recorded."""
    token = User("eve", attacker.intruder).t0
    clients = attacker.clients(20, "orchestrator")
    await attacker.often(clients, lambda client: client.ask("POST", "/plan", token, b'{"request":"x"}'))


async def drafts(attacker: Attacker) -> None:
    """A compromised writer: drafts of 60,000 characters, one after the other, for alice."""
    alice = User("alice", attacker.intruder, agent="agent/writer")
    call = tool_call("create", title="pager storm", text="x" * 60_000)

    async def once(_number: int) -> object:
        answer = await alice.send("agent/writer", "tool/documents", "/mcp", alice.t2, **call)
        error = answer.json().get("error") or answer.json().get("result", {})
        return f"{answer.status_code} {'refused' if error.get('isError') or 'code' in error else 'filed'}"

    await attacker.often(range(4), once)


async def tasks(attacker: Attacker) -> None:
    """alice: 500 concurrent tasks, each on its own connection."""
    token, body = User("alice", attacker.intruder).t0, json.dumps({"request": READING}).encode()
    await attacker.often(
        attacker.clients(500, "orchestrator"), lambda client: client.ask("POST", "/tasks", token, body)
    )


async def strangers(attacker: Attacker) -> None:
    """Strangers: 500 requests a second without a token, on ten connections."""
    began, sent = time.monotonic(), itertools.count()

    async def once(client: RawClient) -> object:
        await asyncio.sleep(began + next(sent) / STRANGERS - time.monotonic())
        return await client.ask("POST", "/tasks", body=b"{}")

    await attacker.often(attacker.clients(10, "orchestrator"), once)


async def handshakes(attacker: Attacker) -> None:
    """A stranger: as many handshakes with the registry as this machine can make."""
    await attacker.often(attacker.clients(100, "authority/registry"), RawClient.greet)


async def questions(attacker: Attacker) -> None:
    """A stranger: 200 connections that request the registry's health without pause."""
    await attacker.often(attacker.clients(200, "authority/registry"), lambda client: client.ask("GET", "/health"))


async def slow_requests(attacker: Attacker) -> None:
    """A stranger: 100 concurrent requests to Keycloak; each is aborted after 15 s, and repeated.

    Keycloak uses a thread for each.  When it had 50 threads, 60 such requests blocked all others.
    """
    keycloak = attacker.system.keycloak
    path = keycloak.metadata.token_endpoint.removeprefix(URL)

    async def once(client: RawClient) -> object:
        answer = await client.drip(path, 15)
        return answer.split(b" ", 2)[1].decode() if answer else "no answer"

    await attacker.often([RawClient(URL, "localhost", keycloak.tls) for _ in range(100)], once)


Attack = Callable[[Attacker], Coroutine[Any, Any, None]]
ATTACKS: dict[str, Attack] = {
    "nested bodies": nested_bodies,
    "streams": streams,
    "revocations": revocations,
    "refusals": refusals,
    "drafts": drafts,
    "tasks": tasks,
    "strangers": strangers,
    "handshakes": handshakes,
    "questions": questions,
    "slow requests at Keycloak": slow_requests,
}
