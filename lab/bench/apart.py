"""Measures each part of a task alone, while nothing else runs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import httpx

from deploy.ogx import NAME
from lab.bench.party.main import STACK
from lab.bench.variants import known
from local.system import System
from zerotrust.issuer.exchange import CLIENT_ASSERTION, TokenRequest
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.tls import client_context, outside_context
from zerotrust.transport.pools import Connections

CALLER = "agent/reader"
"""The party whose identity is used for calls and handshakes."""
TIMES = 20
"""Calls, and handshakes, in each round."""
PLAN = {"request": "Summarise."}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
COMPLETIONS = "/v1/chat/completions"


async def apart(system: System, keycloak: httpx.AsyncClient, token: str, took: dict[str, list[float]]) -> None:
    """Measure each part, and add its seconds to `took`, by kind.  `token` is alice's own, not exchanged before."""
    svid = await system.svid(CALLER)
    for kind, at in (("plain_call", "none"), ("mtls_call", "tls")):
        await _calls(system, svid, at, took[kind])
    await _handshakes(system, svid, took["handshake"])
    for kind, asked in (("svid", "x509 anew"), ("jwt_svid", system.keycloak.issuer)):
        took[kind].append((await system.inside(CALLER, asked))["seconds"])  # as the workload itself waits for it
    await _questions(system, keycloak, token, took)
    await _models(system, keycloak, token, took)


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


async def _models(system: System, keycloak: httpx.AsyncClient, token: str, took: dict[str, list[float]]) -> None:
    """Measure a call of the model without our door and through it, by turns: of the script, then of a server."""
    scopes = "inference.run llama.chat"
    t1 = await _exchanged(system, keycloak, token, "orchestrator", CALLER, f"agent.invoke {scopes}")
    t3 = await _exchanged(system, keycloak, t1, CALLER, "inference", scopes)
    svid = await system.svid(CALLER)
    async with AsyncExitStack() as stack:

        async def at(name: str) -> tuple[httpx.AsyncClient, str]:
            there = known(system, name)
            http = httpx.AsyncClient(transport=Connections(there.directory(), svid), timeout=60)
            return await stack.enter_async_context(http), f"{there.addresses['inference']}{COMPLETIONS}"

        ways = {"model": (await at("none"), ""), "model_door": (await at("warm"), t3)}
        await _by_turns(ways, "default", took)
        if not (server := system.llama_stack):
            return
        own = await _exchanged(system, keycloak, t3, "inference", NAME, "llama.chat")
        direct = httpx.AsyncClient(verify=outside_context(server.spki_sha256), trust_env=False, timeout=60)
        await stack.enter_async_context(direct)
        ways = {"server": ((direct, f"{server.origin}{COMPLETIONS}"), own), "server_door": (await at(STACK), t3)}
        await _by_turns(ways, "provider/scripted", took)


async def _by_turns(
    ways: dict[str, tuple[tuple[httpx.AsyncClient, str], str]], model: str, took: dict[str, list[float]]
) -> None:
    """Call a model in each way: address and token."""
    for number in range(1 + TIMES):  # the first opens the connections
        for kind, ((http, url), token) in ways.items():
            headers = {"authorization": f"Bearer {token}"} if token else {}
            with _timed(took[kind] if number else []):
                answer = await http.post(url, json=HELLO | {"model": model}, headers=headers)
            answer.raise_for_status()


async def _exchanged(  # noqa: PLR0913, PLR0917 - a token, of whom, for whom, for what
    system: System, keycloak: httpx.AsyncClient, token: str, who: str, audience: str, scopes: str
) -> str:
    wanted = TokenRequest(system.registry.id(audience), frozenset(scopes.split()))
    form = wanted.form(token, await system.assertion(who))
    answer = await keycloak.post(system.keycloak.metadata.token_endpoint, data=form)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


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
