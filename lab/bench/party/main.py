"""Runs one party of one variant: the party's own `create_app` in a service of the kind that the variant says."""

import asyncio
import os
from importlib import import_module
from typing import Any

import httpx
import httpx2
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.bench.party.naive import Naive
from lab.bench.party.spans import Spans
from lab.bench.party.unguarded import Unguarded
from zerotrust.known import Known
from zerotrust.outgoing import Outgoing
from zerotrust.run import compose, follow, origin, serve
from zerotrust.server import server
from zerotrust.service import Service, log_json_lines
from zerotrust.settings import Settings
from zerotrust.workload import Workload

THINKING = 0.015
"""Seconds that a model takes for a reply, where the request asks it to take its time."""


def thinking(app: ASGIApp) -> ASGIApp:
    """The app of a model that takes its time when it is told to."""

    async def thoughtful(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> Message:
            message = await receive()
            if b"Take your time" in message.get("body", b""):
                await asyncio.sleep(THINKING)
            return message

        await app(scope, read if scope["type"] == "http" else receive, send)

    return thoughtful


def create_app(service: Service) -> ASGIApp:
    """The party's app, watched."""
    module = import_module(os.environ["ZT_BENCH_MODULE"])
    app = Spans(service.data / "spans.jsonl").watched(service, module.create_app)
    return thinking(app) if service.name == "inference" else app


def shifted(known: Known, ports: int, scheme: str) -> Known:
    """The registry of a set: the same parties, at ports that lie so far above."""
    parties = {
        name: party.model_copy(update={"port": party.port and party.port + ports})
        for name, party in known.registry.parties.items()
    }
    registry = known.registry.model_copy(update={"parties": parties})
    addresses = {name: f"{scheme}://127.0.0.1:{parties[name].port}" for name in known.addresses}
    return known.model_copy(update={"registry": registry, "addresses": addresses})


async def live(settings: Settings, variant: str, name: str, ports: int) -> None:
    """Serve until told to stop."""
    workload = Workload()
    async with workload.opened():
        signals = follow(origin(str(settings.registry)), workload)
        async with signals.opened():
            known = shifted(signals.known, ports, "http" if variant == "none" else "https")
            service = compose(name, known, settings, workload, signals.standing)
            if variant == "none":
                parts: dict[str, Any] = {
                    "transport": httpx.AsyncHTTPTransport(),
                    "mcp_transport": httpx2.AsyncHTTPTransport(),
                }
                service.outgoing = Outgoing(known.called(), standing=signals.standing, **parts)
            service.__class__ = {"none": Unguarded, "warm": Service, "naive": Naive}[variant]
            app = create_app(service)
            if variant == "none":
                port = known.registry.parties[name].port or 0
                return await server(app, host=settings.host, port=port, tls=None).serve()
            await serve(service, app, workload, settings.host)


if __name__ == "__main__":
    log_json_lines()
    told = (os.environ["ZT_BENCH_VARIANT"], os.environ["ZT_BENCH_PARTY"], int(os.environ["ZT_BENCH_PORTS"]))
    uvloop.run(live(Settings(), *told))
