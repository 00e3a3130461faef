"""Runs one party of one variant: the party's own `create_app` in a service of the kind that the variant says."""

import os
from importlib import import_module

import uvloop
from starlette.types import ASGIApp

from lab.bench.party.naive import Naive
from lab.bench.party.spans import Spans
from lab.bench.party.thinking import thinking
from lab.bench.party.unguarded import Unguarded
from zerotrust.adapters.agent_card import agent_card, as_json
from zerotrust.adapters.digests import card_digest
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.runtime import compose, follow, policy_of, serve, without_slash
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.logs import log_json_lines
from zerotrust.transport.server import server

KINDS: dict[str, type[Service]] = {"none": Unguarded, "tls": Unguarded, "warm": Service, "naive": Naive}
"""By variant."""


def create_app(service: Service) -> ASGIApp:
    """The party's app, watched."""
    module = import_module(os.environ["ZT_BENCH_MODULE"])
    app = Spans(service.data / "spans.jsonl").watched(service, module.create_app)
    return thinking(app) if service.name == "inference" else app


def shifted(known: RegistrySnapshot, ports: int, scheme: str) -> RegistrySnapshot:
    """The registry as a set has it: the same parties, at ports that lie so far above, approved with those."""
    parties = {
        name: party.model_copy(update={"port": party.port and party.port + ports})
        for name, party in known.registry.parties.items()
    }
    registry = known.registry.model_copy(update={"parties": parties})
    addresses = {name: f"{scheme}://{registry.dns_name(name)}:{parties[name].port}" for name in known.addresses}
    places = {name: f"{scheme}://127.0.0.1:{parties[name].port}" for name in known.addresses}
    approved = {
        name: entry.model_copy(update={"card": card_digest(as_json(agent_card(name, registry.address(name))))})
        if entry.card
        else entry
        for name, entry in known.approved.items()
    }
    return known.model_copy(
        update={"registry": registry, "addresses": addresses, "places": places, "approved": approved}
    )


async def live(settings: Settings, variant: str, name: str, ports: int, scheme: str) -> None:
    """Serve until told to stop.  Every set has an identity and heard of the registry once; the guarded ones go on."""
    workload, kind = Workload(), KINDS[variant]
    async with workload.opened():
        feed = follow(without_slash(str(settings.registry)), workload)
        async with feed.opened():
            known, policy = shifted(feed.snapshot, ports, scheme), policy_of(feed.policy, feed.snapshot.registry)
            if kind is not Unguarded:
                service = compose(name, known, policy, settings, workload, feed.revocations, kind)
                feed.on_change(
                    lambda known, policy: service.use(shifted(known, ports, scheme), policy_of(policy, known.registry))
                )
                await serve(service, create_app(service), workload, settings.host)
                return
        service = compose(name, known, policy, settings, workload, feed.revocations, kind)
        app = create_app(service)
        if scheme == "https":
            await serve(service, app, workload, settings.host)
        else:
            port = known.registry.parties[name].port or 0
            await server(app, host=settings.host, port=port, tls=None).serve()


if __name__ == "__main__":
    log_json_lines()
    told = {name: os.environ[f"ZT_BENCH_{name.upper()}"] for name in ("variant", "party", "ports", "scheme")}
    uvloop.run(live(Settings(), told["variant"], told["party"], int(told["ports"]), told["scheme"]))
