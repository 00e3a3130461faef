"""The same parties several times over: each variant a set of its own, at ports of its own, by the one registry."""

import shutil
from dataclasses import replace
from pathlib import Path

import httpx

from authorities.attestation.local.launch import Launch
from local.keycloak import check_port
from local.system import HOST, System, registered, settings
from zerotrust.registry.deployment import Deployment
from zerotrust.registry.directory import Directory
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import RegistrySnapshot
from zt.client import user_client

PORTS = {"none": 1000, "warm": 2000, "naive": 3000, "tls": 4000}
"""The sets, and how far their ports lie above those of the registry."""
PARTIES = ("orchestrator", "agent/reader", "tool/documents", "inference")
"""Whoever takes part in the task."""


def scheme(name: str) -> str:
    """How a set is spoken to."""
    return "http" if name == "none" else "https"


def address(system: System, name: str, party: str) -> str:
    """The origin of a party of a set, by its name in certificates."""
    return f"{scheme(name)}://{system.registry.dns_name(party)}"


def place(system: System, name: str, party: str) -> str:
    """Where a party of a set listens."""
    return f"{scheme(name)}://{HOST}:{system.port(party) + PORTS[name]}"


def variant(system: System, name: str) -> System:
    """One set, as a system: whoever it is made of runs, or ran, with these addresses and folders."""
    parties = {
        party: there.model_copy(update={"port": there.port + PORTS[name]})
        for party, there in system.deployment.parties.items()
    }
    return replace(system, deployment=Deployment(parties=parties), folder=system.folder / name)


def directory(system: System, name: str) -> Directory:
    """Whom there is to be called in one set."""
    addresses = {party: address(system, name, party) for party in PARTIES}
    places = {party: place(system, name, party) for party in PARTIES}
    return RegistrySnapshot(registry=system.registry, addresses=addresses, places=places, approved={}).directory()


def user(system: System, name: str) -> httpx.AsyncClient:
    """A person's client of one set."""
    return user_client(directory(system, name), system.authority.ca_file)


def unregistered(registry: Registry) -> dict[str, tuple[str, ...]]:
    """The folders that each launch of a set runs: the party's own, and what is put round it."""
    return {
        f"{name}/{party}": ("lab/bench/party", *registry.parties[party].code) for name in PORTS for party in PARTIES
    }


def launches(system: System) -> dict[str, Launch]:
    """The registry, and all sets, by the places where they will answer."""
    registry = system.registry.authorities.registry
    return {url: launch for url, launch in registered(system).items() if launch.name == registry} | sets(system)


def sets(system: System) -> dict[str, Launch]:
    """All sets."""
    found = {}
    for name in PORTS:
        folder = system.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for party in PARTIES:
            url = place(system, name, party)
            check_port(httpx.URL(url).port or 0, f"{name} {party}")
            found[url] = _launch(system, name, party)
    return found


def _launch(system: System, name: str, party: str) -> Launch:
    launch = f"{name}/{party}"
    return Launch(
        party_id=system.registry.id(party),
        name=launch,
        code=unregistered(system.registry)[launch],
        env=settings(system, party)
        | {
            "ZT_DATA": str(variant(system, name).data(party)),
            "ZT_BENCH_VARIANT": name,
            "ZT_BENCH_SCHEME": scheme(name),
            "ZT_BENCH_PORTS": str(PORTS[name]),
            "ZT_PORT": str(system.port(party) + PORTS[name]),
            "ZT_BENCH_PARTY": party,
            "ZT_BENCH_MODULE": f"{system.registry.parties[party].code[0].replace('/', '.')}.main",
        },
    )


def on_core(system: System, name: str) -> float:
    """Seconds that the processes of one set have spent on a core; blind to how long they waited for one."""
    files = [
        file
        for one in system.authority.running
        if one.launch.name.startswith(f"{name}/")
        for file in Path(f"/proc/{one.process.pid}/task").glob("*/schedstat")
    ]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9
