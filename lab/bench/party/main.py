"""Runs a party without any check: the party's own `create_app`, in the clear or over mutual TLS."""

import os
import time
from urllib.parse import urlsplit

import uvloop

from agents.reader import main as reader
from inference import main as inference
from lab.bench.party.unguarded import NobodyRevoked, Unguarded
from orchestrator import main as orchestrator
from tools.documents import main as documents
from zerotrust.hardening.server import server
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.runtime import compose, freeze_loaded, policy_of, registry_feed, serve
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.logs import log_json_lines

MAINS = {"orchestrator": orchestrator, "agent/reader": reader, "tool/documents": documents, "inference": inference}
"""The parties that take part in the task."""
PORTS = {"none": 1000, "tls": 2000}
"""How far the ports of each set lie above those of the registry."""


def shift(snapshot: RegistrySnapshot, name: str) -> RegistrySnapshot:
    """Return the registry as a set has it: the same parties at other ports, and without TLS in the clear."""
    scheme = "https" if name == "tls" else "http"
    addresses = {party: f"{scheme}://{snapshot.registry.dns_name(party)}" for party in snapshot.addresses}
    urls = {party: urlsplit(place) for party, place in snapshot.places.items()}
    places = {party: f"{scheme}://{url.hostname}:{(url.port or 443) + PORTS[name]}" for party, url in urls.items()}
    return snapshot.model_copy(update={"addresses": addresses, "places": places, "outside": {}})


async def serve_unguarded(settings: Settings, name: str, party: str) -> None:
    """Serve until stopped.  A set gets its identity and reads the feed once."""
    workload = Workload()
    async with workload.running():
        feed = registry_feed(settings, workload)
        async with feed.running():
            snapshot, policy = shift(feed.snapshot, name), policy_of(feed.policy.document, feed.snapshot.registry)
        revocations = NobodyRevoked(clock=time.monotonic)
        service = compose(party, snapshot, policy, settings, workload, revocations, Unguarded)
        app = MAINS[party].create_app(service)
        if name == "tls":
            return await serve(service, app, workload, settings)
        freeze_loaded()  # as `serve` does, so that it makes no difference
        return await server(app, host=settings.host, port=settings.port, tls=None).serve()


if __name__ == "__main__":
    log_json_lines()
    uvloop.run(serve_unguarded(Settings(), os.environ["ZT_BENCH_SET"], os.environ["ZT_BENCH_PARTY"]))
