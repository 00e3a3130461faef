"""Measures each part of a task alone, while nothing else runs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from lab.bench.variants import known
from local.system import System
from zerotrust.issuer.exchange import CLIENT_ASSERTION, TokenRequest
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import client_context
from zerotrust.transport.pools import Connections

CALLER = "agent/reader"
"""The party whose identity is used for calls and handshakes."""
TIMES = 20
"""Calls, and handshakes, in each round."""
PLAN = {"request": "Summarise."}


async def apart(system: System, keycloak: httpx.AsyncClient, token: str, took: dict[str, list[float]]) -> None:
    """Measure each part, and add its seconds to `took`, by kind.  `token` is alice's own, not exchanged before."""
    svid = await system.svid(CALLER)
    for kind, at in (("plain_call", "none"), ("mtls_call", "tls")):
        await _calls(system, svid, at, took[kind])
    await _handshakes(system, svid, took["handshake"])
    for kind, asked in (("svid", "x509 anew"), ("jwt_svid", system.keycloak.issuer)):
        took[kind].append((await system.inside(CALLER, asked))["seconds"])  # as the workload itself waits for it
    await _questions(system, keycloak, token, took)


@contextmanager
def _timed(took: list[float]) -> Iterator[None]:
    began = time.monotonic()
    yield
    took.append(time.monotonic() - began)


async def _calls(system: System, svid: Svid, at: str, took: list[float]) -> None:
    """Measure a POST over an open connection."""
    there = known(system, at)
    url = f"{there.addresses['orchestrator']}/plan"
    async with httpx.AsyncClient(transport=Connections(there.directory(), svid), timeout=60) as http:
        await http.post(url, json=PLAN)
        for _ in range(TIMES):
            with _timed(took):
                answer = await http.post(url, json=PLAN)
            answer.raise_for_status()


async def _handshakes(system: System, svid: Svid, took: list[float]) -> None:
    """Measure a new connection with mutual TLS."""
    there, name = known(system, "tls").directory(), system.registry.dns_name("inference")
    context = client_context(svid, there.parties)
    for _ in range(TIMES):
        with _timed(took):
            _, writer = await asyncio.open_connection(*there.places[name], ssl=context, server_hostname=name)
        writer.close()
        await writer.wait_closed()


async def _questions(system: System, keycloak: httpx.AsyncClient, token: str, took: dict[str, list[float]]) -> None:
    """Measure an exchange, and an introspection of the new token, over an open connection."""
    endpoints = system.keycloak.metadata
    scopes = frozenset({"agent.invoke", "tool.read", "inference.run", "llama.chat"})
    wanted = TokenRequest(system.registry.id("agent/reader"), scopes)
    form = wanted.form(token, await system.assertion("orchestrator"))
    with _timed(took["exchange"]):
        answer = await keycloak.post(endpoints.token_endpoint, data=form)
    form = {
        "client_assertion_type": CLIENT_ASSERTION,
        "client_assertion": await system.assertion("agent/reader"),
        "token": answer.json()["access_token"],
    }
    with _timed(took["introspection"]):
        answer = await keycloak.post(endpoints.introspection_endpoint, data=form)
    if not answer.json()["active"]:
        raise RuntimeError("Keycloak does not know the token that it has just issued")
