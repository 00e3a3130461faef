"""Runs a party of a variant: the party's own `create_app`, with the variant's kind of service."""

import asyncio
import os
import time
from importlib import import_module
from urllib.parse import urlsplit

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.bench.party.unguarded import NobodyRevoked, Unguarded
from zerotrust.hardening.server import server
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.runtime import compose, engine_for, freeze_loaded, policy_of, registry_feed, serve
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.logs import log_json_lines

THINKING = 0.015
"""Seconds that the model takes for a reply, if the request asks for it."""


def slow_model(app: ASGIApp) -> ASGIApp:
    """Return the app of a model that is slow if the request asks for it."""

    async def thoughtful(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> Message:
            message = await receive()
            if b"Take your time" in message.get("body", b""):
                await asyncio.sleep(THINKING)
            return message

        await app(scope, read if scope["type"] == "http" else receive, send)

    return thoughtful


KINDS: dict[str, type[Service]] = {
    "none": Unguarded,
    "tls": Unguarded,
    "warm": Service,
}
"""The kind of service of each variant."""
PORTS = {"none": 1000, "warm": 2000, "tls": 3000}
"""How far the ports of a variant lie above those of the registry."""
DELIVERS = "warm"
"""The one variant whose journals are delivered to the audit log."""


def create_app(service: Service) -> ASGIApp:
    """Return the party's app."""
    (folder, *_) = service.registry.parties[service.name].code
    app: ASGIApp = import_module(f"{folder.replace('/', '.')}.main").create_app(service)
    return slow_model(app) if service.name == "inference" else app


def shift(snapshot: RegistrySnapshot, variant: str) -> RegistrySnapshot:
    """The registry as a variant has it: the same parties at other ports, and without security in the clear."""
    scheme = "http" if variant == "none" else "https"
    own = snapshot.registry.authorities
    # All sets have the same names, and the log takes one journal of each.
    same = {own.registry, own.audit} if variant == DELIVERS else set[str]()
    addresses = {name: f"{scheme}://{snapshot.registry.dns_name(name)}" for name in snapshot.addresses}
    there = {name: urlsplit(place) for name, place in snapshot.places.items()}
    places = {
        name: f"{scheme}://{url.hostname}:{(url.port or 443) + (0 if name in same else PORTS[variant])}"
        for name, url in there.items()
    }
    return snapshot.model_copy(update={"addresses": addresses, "places": places, "outside": {}})


async def serve_variant(settings: Settings, variant: str, name: str) -> None:
    """Serve until stopped.  All sets get an identity and read the feed once; only guarded sets keep following it."""
    workload, kind = Workload(), KINDS[variant]
    async with workload.running():
        feed = registry_feed(settings, workload)
        async with feed.running():
            snapshot = shift(feed.snapshot, variant)
            # Whoever does not follow the feed would see the life of its policies end.
            follows = kind is not Unguarded
            registry = feed.snapshot.registry
            policy = (
                engine_for(feed.policy, feed.snapshot, feed) if follows else policy_of(feed.policy.document, registry)
            )
            revocations = feed.revocations if follows else NobodyRevoked(clock=time.monotonic)
            service = compose(name, snapshot, policy, settings, workload, revocations, kind)
            app = create_app(service)
            if follows:
                feed.on_change(
                    lambda snapshot, policy: service.use(shift(snapshot, variant), engine_for(policy, snapshot, feed))
                )
                return await serve(service, app, workload, settings)
        if variant != "none":
            return await serve(service, app, workload, settings)
        freeze_loaded()  # as `serve` does, so that it makes no difference between variants
        return await server(app, host=settings.host, port=settings.port, tls=None).serve()


if __name__ == "__main__":
    log_json_lines()
    uvloop.run(serve_variant(Settings(), os.environ["ZT_BENCH_VARIANT"], os.environ["ZT_BENCH_PARTY"]))
