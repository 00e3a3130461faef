"""An intruder inside genuine workloads: the tokens of a user's session that it can get, and the calls that it makes."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import jwt

from demo.again import NoTokenError
from start.system import EVERYTHING, Running
from zerotrust.hardening.pools import Connections
from zerotrust.issuer.client import credential
from zerotrust.issuer.exchange import TokenRequest
from zt.people.authorities import REGISTRY
from zt.people.key import BoundToken
from zt.people.login import Login, issuer_http

INSIDERS = ("orchestrator", "agent/reader", "agent/writer")
"""The workloads that an intruder is inside of."""
NO_CONNECTION = "no connection"
MARGIN = 20
"""Seconds before its expiry from which it uses no certificate and no token, so that each call ends in time.
"""
ACTS = {"agent/reader": "tool.read", "agent/writer": "tool.write"}
"""The agent's right at the tool."""

Source = Callable[[], Awaitable[str]]
"""Where a token comes from."""


class Intruder:
    """Has what an intruder inside the workloads could get, and uses it.

    `who`: the name of the calling workload, whose certificate is used, or None for a program without a certificate.
    """

    def __init__(self, system: Running, stack: AsyncExitStack) -> None:
        """`stack` closes the connections."""
        self.system, self._stack = system, stack
        self._clients: dict[str | None, httpx.AsyncClient] = {}
        self._held: dict[str, tuple[Connections, float]] = {}
        self._connecting, self._signing_in = asyncio.Lock(), defaultdict[str, asyncio.Lock](asyncio.Lock)
        self.olgas = Token(lambda: self.login("olga", REGISTRY.scope, REGISTRY.client))
        """An operator's token."""

    async def exchange(self, who: str, token: str, audience: str, scopes: str, **more: Any) -> httpx.Response:
        """Exchange a token at Keycloak as the workload `who`.  `more`: `lifetime` in seconds, or other form fields."""
        wanted = TokenRequest(
            self.system.registry.id(audience), frozenset(scopes.split()), lifetime=more.pop("lifetime", None)
        )
        form = wanted.form(token) | credential(await self.system.assertion(who))
        async with issuer_http(self.system.keycloak.tls) as http:
            return await http.post(self.system.keycloak.metadata.token_endpoint, data=form | more)

    async def token(self, who: str, token: str, audience: str, scopes: str, **more: Any) -> str:
        """Return the token of an exchange.  Raises `NoTokenError`."""
        answer = await self.exchange(who, token, audience, scopes, **more)
        if answer.is_error:
            raise NoTokenError(outcome(answer))
        return str(answer.json()["access_token"])

    async def login(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> str:
        """Return the token of a user's own client, without its key: at a gate it is good for nothing."""
        return (await self.sign_in(user, scope, client)).access_token

    async def sign_in(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> Login:
        """Sign a user in; the sessions of one user begin one after the other."""
        async with self._signing_in[user]:
            return await self.system.sign_in(user, scope, client)

    async def call_tool(self, who: str | None, token: str, tool: str, **arguments: str) -> httpx.Response:
        """Call a tool of the documents server by hand."""
        return await self.send(who, "tool/documents", "/mcp", token, **tool_call(tool, **arguments))

    async def send(
        self, who: str | None, name: str, path: str, token: str | None, *, method: str = "POST", **more: Any
    ) -> httpx.Response:
        """Send a request to a party: with a token alone, as workloads do, or with what else `more` has."""
        headers = more.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})
        http = await self.client(who)
        return await http.request(method, f"{self.system.address(name)}{path}", headers=headers, **more)

    async def client(self, who: str | None) -> httpx.AsyncClient:
        """Return the HTTP client of a workload, or of a person."""
        async with self._connecting:
            if who:
                await self._renew(who)
            elif None not in self._clients:
                self._clients[None] = await self._stack.enter_async_context(self.system.user())
            return self._clients[who]

    async def _renew(self, who: str) -> None:
        """Make the client of the workload `who` use a certificate that does not expire within `MARGIN`."""
        held = self._held.get(who)
        if held and held[1] > time.time() + MARGIN:
            return
        svid = await self.system.svid(who)
        if held:
            held[0].renew(svid)
        connections = held[0] if held else Connections(self.system.directory, svid)
        self._held[who] = connections, svid.not_after
        if not held:
            http = httpx.AsyncClient(transport=connections, timeout=30)
            self._clients[who] = await self._stack.enter_async_context(http)


class Token:
    """A token that is asked for again before it ends; one request for it at a time."""

    def __init__(self, get: Source) -> None:
        self._get, self._token, self._one = get, "", asyncio.Lock()

    async def __call__(self) -> str:
        """Return the token."""
        async with self._one:
            if not self._token or expiry_of(self._token) < time.time() + MARGIN:
                self._token = await self._get()
            return self._token


class User:
    """A user with a session of its own, and the tokens of one way through one agent, as an intruder could get them."""

    login: Login

    def __init__(self, name: str, intruder: Intruder, *, agent: str = "agent/reader", seed: int = 1) -> None:
        self.name, self.intruder = name, intruder
        self.chance = random.Random(seed)  # noqa: S311 - to be the same every time
        self.traces: set[str] = set()
        self.t0 = Token(self._sign_in)
        self.t1 = self.exchange(self.t0, "orchestrator", agent, f"agent.invoke {ACTS[agent]} inference.run llama.chat")
        self.t2 = self.exchange(self.t1, agent, "tool/documents", ACTS[agent])
        self.t3 = self.exchange(self.t1, agent, "inference", "inference.run llama.chat")
        self.listing = self.exchange(self.t0, "orchestrator", "inference", "model.read llama.models")
        self.t0_reading = Token(lambda: intruder.login(name, "task.run agent.invoke tool.read"))
        wanted = "urn:ietf:params:oauth:token-type:id_token"
        self.id_token = self.exchange(
            self.t0, "orchestrator", "agent/reader", "agent.invoke", requested_token_type=wanted
        )
        self.renewed = self.exchange(self.t2, "agent/reader", "tool/documents", "tool.read")
        """By its own holder, which would shorten the chain."""
        self.olgas = intruder.olgas
        self._ended = ""

    def exchange(self, token: Source, who: str, audience: str, scopes: str, **more: Any) -> Token:
        """The tokens that the workload `who` gets in exchange for one of this user's tokens."""

        async def get() -> str:
            return await self.intruder.token(who, await token(), audience, scopes, **more)

        return Token(get)

    async def forged(self) -> str:
        """Return the user's own token, with another signature."""
        head, _, signature = (await self.t0()).rpartition(".")
        return f"{head}.{signature[::-1]}"

    async def ended(self) -> str:
        """Return a token for the tool that was valid for one second."""
        if not self._ended:
            t1 = await self.t1()
            self._ended = await self.intruder.token("agent/reader", t1, "tool/documents", "tool.read", lifetime=1)
            await asyncio.sleep(max(0.0, expiry_of(self._ended) - time.time()))
        return self._ended

    async def send(self, who: str | None, name: str, path: str, token: Source | None, **more: Any) -> httpx.Response:
        """Send a request to a party: as the workload `who`, or as the user's own client, which proves its key."""
        if token and not who:
            held = await token()
            return await self.intruder.send(None, name, path, None, auth=BoundToken(self.login.key, held), **more)
        return await self.intruder.send(who, name, path, token and await token(), **more)

    async def _sign_in(self) -> str:
        self.login = await self.intruder.sign_in(self.name)
        return self.login.access_token


def tool_call(tool: str, **arguments: str) -> dict[str, Any]:
    """Return body and headers of a tool call (MCP 2026-07-28)."""
    call = mcp_request("tools/call", name=tool, arguments=arguments)
    call["headers"]["mcp-name"] = tool
    return call


def mcp_request(method: str, **params: Any) -> dict[str, Any]:
    """Return body and headers of a request (MCP 2026-07-28)."""
    revision = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientInfo": {"name": "intruder", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {
        "json": {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}},
        "headers": {"mcp-protocol-version": revision, "accept": "application/json", "mcp-method": method},
    }


def outcome(answer: httpx.Response) -> str:
    """Return status and reason, as a caller sees them."""
    body = answer.json()
    if not isinstance(body, dict):
        return f"{answer.status_code} ok"
    if "jsonrpc" in body:
        if "error" not in body:
            return f"{answer.status_code} tool error" if body["result"].get("isError") else f"{answer.status_code} ok"
        if not isinstance(body["error"].get("data"), dict):  # not the gate's: it was admitted, and then not understood
            return f"{answer.status_code} {body['error']['code']}"
        body = body["error"]["data"]
    ended = body["result"]["event"] if answer.is_error and "result" in body else "ok"  # a task that has begun
    return f"{answer.status_code} {body.get('reason') or body.get('error') or ended}"


async def answer_to(asked: Awaitable[httpx.Response]) -> str:
    """Return the same, or that there was no connection.  Raises `httpx.TimeoutException`."""
    try:
        return outcome(await asked)
    except (httpx.NetworkError, httpx.ProtocolError):
        return NO_CONNECTION


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def expiry_of(token: str) -> float:
    """Return when a token ends, in seconds since the epoch."""
    return float(claims_of(token)["exp"])
