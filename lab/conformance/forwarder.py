"""Forwards a suite's requests to a party, as a genuine caller: over mutual TLS, with a token from real exchanges.

Suites cannot present a certificate.  Their requests are forwarded with three changes: the token is that of the genuine
caller, the forwarder's name in `Host` becomes the party's, and the party's name in an agent's card the forwarder's.
So these suites do not test mutual TLS and sign-in, but everything behind them.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from demo.intruder import Intruder, Token, User
from lab.conformance.serving import hosting
from start.system import System
from zerotrust.adapters.agent_card import CARD_PATH

_OWN = {"authorization", "host", "content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding"}


class Hop(NamedTuple):
    """The caller and the party that it calls for alice, and the token for the call."""

    caller: str
    """The party whose certificate is presented."""
    party: str
    token: Callable[[User], Token]


READ = Hop("agent/reader", "tool/documents", lambda alice: alice.t2)
ASK = Hop("orchestrator", "agent/reader", lambda alice: alice.t1)


class Forwarder:
    """Forwards the calls of one way, as an app."""

    def __init__(self, system: System, intruder: Intruder, way: Hop) -> None:
        self._intruder, self._way, self._there, self.origin = intruder, way, system.address(way.party), ""
        self._token = way.token(User("alice", intruder))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = "/a2a" if request.url.path == "/" and self._way.party.startswith("agent/") else request.url.path
        answer = await self._send(request, f"{self._there}{path}")
        body = answer.content
        if path == CARD_PATH:
            body = body.replace(f"{self._there}/a2a".encode(), self.origin.encode())
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        await Response(body, answer.status_code, headers)(scope, receive, send)

    async def _send(self, request: Request, url: str) -> httpx.Response:
        here, there = httpx.URL(self.origin), httpx.URL(self._there)
        host = request.headers.get("host", "")
        ours = host in {here.netloc.decode(), f"localhost:{here.port}"}
        headers = [(name, value) for name, value in request.headers.items() if name not in _OWN]
        headers.append(("host", there.netloc.decode() if ours else host))
        headers.append(("authorization", f"Bearer {await self._token()}"))
        http = await self._intruder.client(self._way.caller)
        return await http.request(request.method, url, headers=headers, content=await request.body())


@asynccontextmanager
async def forwarding(system: System, intruder: Intruder, way: Hop) -> AsyncIterator[str]:
    """Serve a forwarder for one way, and yield its origin."""
    forwarder = Forwarder(system, intruder, way)
    async with hosting(forwarder) as origin:
        forwarder.origin = origin
        yield origin
