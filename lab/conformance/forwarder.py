"""Carries a suite's requests to a party, as a genuine caller: over mutual TLS, with a token made by real exchange.

Suites cannot show a certificate.  What they send goes on as it is, but for three things: the token is that of the
genuine caller, the forwarder's own name in `Host` becomes the party's, and in an agent's card the party's name becomes
the forwarder's.
So mutual TLS and sign-in are not what these suites test; everything behind the door is.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from demo.refusals import Intruder, end_of
from lab.conformance.serving import served
from local.system import EVERYTHING, System
from zerotrust.adapters.agent_card import CARD_PATH

_OWN = {"authorization", "host", "content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding"}
MARGIN = 10
"""Seconds before its end at which a token is asked for anew."""


@dataclass(slots=True)
class Tokens:
    """A user's token for one party, in the hands of one caller; asked for again before it ends."""

    get: Callable[[], Awaitable[str]]
    _token: str = ""
    _until: float = field(default=0.0)

    async def current(self) -> str:
        """One that is good for a while."""
        if self._until < time.time() + MARGIN:
            self._token = await self.get()
            self._until = end_of(self._token)
        return self._token


@dataclass(frozen=True, slots=True)
class Way:
    """Who calls whom, for alice: `hops` are the exchanges from her own token on, (caller, callee, scopes)."""

    hops: tuple[tuple[str, str, str], ...]
    scope: str = EVERYTHING
    """What alice gives her own client."""

    @property
    def caller(self) -> str:
        """Whose certificate is shown."""
        return self.hops[-1][0]

    @property
    def party(self) -> str:
        """Who is called."""
        return self.hops[-1][1]


_TO_READER = ("orchestrator", "agent/reader", "agent.invoke tool.read inference.run")
READ = Way((_TO_READER, ("agent/reader", "tool/documents", "tool.read")))
ASK = Way((_TO_READER,))
THINK = Way((_TO_READER, ("agent/reader", "inference", "inference.run")))
MODELS = Way((("orchestrator", "inference", "model.read"),), scope="model.read")


class Forwarder:
    """One way, as an app."""

    def __init__(self, system: System, intruder: Intruder, way: Way, *, with_token: bool = True) -> None:
        self._intruder, self._way, self._with_token = intruder, way, with_token
        self._there = system.address(way.party)
        self._tokens = Tokens(self._token)
        self.origin = ""

    async def _token(self) -> str:
        token = await self._intruder.login("alice", self._way.scope)
        for who, audience, scopes in self._way.hops:
            token = await self._intruder.token(who, token, audience, scopes)
        return token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = "/a2a" if request.url.path == "/" and self._way.party.startswith("agent/") else request.url.path
        answer = await self._sent(request, f"{self._there}{path}")
        body = answer.content
        if path == CARD_PATH:
            body = body.replace(f"{self._there}/a2a".encode(), self.origin.encode())
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        await Response(body, answer.status_code, headers)(scope, receive, send)

    async def _sent(self, request: Request, url: str) -> httpx.Response:
        here, there = httpx.URL(self.origin), httpx.URL(self._there)
        host = request.headers.get("host", "")
        ours = host in {here.netloc.decode(), f"localhost:{here.port}"}
        headers = [(name, value) for name, value in request.headers.items() if name not in _OWN]
        headers.append(("host", there.netloc.decode() if ours else host))
        if self._with_token:
            headers.append(("authorization", f"Bearer {await self._tokens.current()}"))
        http = await self._intruder._client(self._way.caller)
        return await http.request(request.method, url, headers=headers, content=await request.body())


@asynccontextmanager
async def forwarding(system: System, intruder: Intruder, way: Way, *, with_token: bool = True) -> AsyncIterator[str]:
    """A forwarder for one way; yields its origin."""
    forwarder = Forwarder(system, intruder, way, with_token=with_token)
    async with served(forwarder) as origin:
        forwarder.origin = origin
        yield origin
