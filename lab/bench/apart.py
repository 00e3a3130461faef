"""What a task is made of, each part by itself, with nothing else going on."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx

from lab.bench.numbers import Span
from lab.bench.variants import address, directory
from local.system import System
from zerotrust.issuer.exchange import CLIENT_ASSERTION, exchange_form
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import client_context
from zerotrust.transport.pools import Connections

CALLER = "agent/reader"
"""Whose identity the calls and handshakes are made with."""
TIMES = 20
"""Calls, and handshakes, of a round."""
PLAN = {"request": "Summarise."}


async def apart(system: System, keycloak: httpx.AsyncClient, token: str) -> AsyncIterator[Span]:
    """Measure each part; `token` is alice's, and has been exchanged by nobody."""
    svid = await system.svid(CALLER)
    for kind, at in (("plain_call", "none"), ("mtls_call", "tls")):
        async for span in _calls(system, svid, kind, at):
            yield span
    async for span in _handshakes(system, svid):
        yield span
    for kind, asked in (("svid", "x509 anew"), ("jwt_svid", system.keycloak.issuer)):
        yield Span(kind, 0.0, (await system.inside(CALLER, asked))["seconds"])  # as the workload itself waits for it
    async for span in _questions(system, keycloak, token):
        yield span


async def _calls(system: System, svid: Svid, kind: str, at: str) -> AsyncIterator[Span]:
    """A POST over a connection that is kept."""
    url = f"{address(system, at, 'orchestrator')}/plan"
    async with httpx.AsyncClient(transport=Connections(directory(system, at), svid), timeout=60) as http:
        await http.post(url, json=PLAN)
        for _ in range(TIMES):
            began = time.monotonic()
            answer = await http.post(url, json=PLAN)
            yield Span(kind, began, time.monotonic())
            answer.raise_for_status()


async def _handshakes(system: System, svid: Svid) -> AsyncIterator[Span]:
    """A new connection, on which both ends have shown who they are."""
    known, url = directory(system, "tls"), address(system, "tls", "inference")
    context = client_context(svid, known.parties)
    for _ in range(TIMES):
        began = time.monotonic()
        name = known.names[url]
        _, writer = await asyncio.open_connection(*known.places[name], ssl=context, server_hostname=name)
        yield Span("handshake", began, time.monotonic())
        writer.close()
        await writer.wait_closed()


async def _questions(system: System, keycloak: httpx.AsyncClient, token: str) -> AsyncIterator[Span]:
    """One exchange, and one introspection of what came of it, over a connection that is kept."""
    endpoint = f"{system.keycloak.issuer}/protocol/openid-connect/token"
    form = exchange_form(
        token,
        audience=system.registry.id("agent/reader"),
        scopes=frozenset({"agent.invoke", "tool.read", "inference.run"}),
        assertion=await system.assertion("orchestrator"),
    )
    began = time.monotonic()
    answer = await keycloak.post(endpoint, data=form)
    yield Span("exchange", began, time.monotonic())
    form = {
        "client_assertion_type": CLIENT_ASSERTION,
        "client_assertion": await system.assertion("agent/reader"),
        "token": answer.json()["access_token"],
    }
    began = time.monotonic()
    answer = await keycloak.post(f"{endpoint}/introspect", data=form)
    yield Span("introspection", began, time.monotonic())
    if not answer.json()["active"]:
        raise RuntimeError("Keycloak does not know the token that it has just issued")
