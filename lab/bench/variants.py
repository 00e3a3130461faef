"""Several sets of the same parties: one for each variant, at its own ports, with the same registry."""

import shutil
from dataclasses import replace
from pathlib import Path

import httpx

from authorities.attestation.local.launch import Launch
from lab.bench.party.main import DELIVERS, PORTS, shift
from start.before_start import check_port
from start.launches import party_launches, settings
from start.system import System
from zerotrust.authority.files.snapshot_files import build_snapshot
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import RegistrySnapshot

PARTIES = ("orchestrator", "agent/reader", "tool/documents", "inference")
"""The parties that take part in the task."""


def variant(system: System, name: str) -> System:
    """One set, as a system with a folder of its own."""
    return replace(system, folder=system.folder / name)


def snapshot_of(system: System, name: str) -> RegistrySnapshot:
    """Return the registry's snapshot for one set: the names and addresses of its parties."""
    return shift(build_snapshot(system.deployment, system.registry, approved={}), name)


def launch_folders(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Return the folders that each launch runs: those of the party, and those of the benchmark."""
    own = "lab/bench/party", "testkit", "zt"
    return {f"{name}/{party}": (*own, *registry.parties[party].code) for name in PORTS for party in PARTIES}


def launches(system: System) -> dict[str, Launch]:
    """Return the launches of all authorities and of all sets, by address."""
    authorities = set(system.registry.authorities.model_dump().values())
    return {url: launch for url, launch in party_launches(system).items() if launch.name in authorities} | set_launches(
        system
    )


def set_launches(system: System) -> dict[str, Launch]:
    """Return the launches of all sets."""
    found = {}
    for name in PORTS:
        folder = variant(system, name).folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for party in PARTIES:
            url = snapshot_of(system, name).places[party]
            port = httpx.URL(url).port or 0
            check_port(port, f"{name} {party}")
            found[url] = _launch(system, name, party, port)
    return found


def _launch(system: System, name: str, party: str, port: int) -> Launch:
    own = {"ZT_DATA": str(variant(system, name).data(party)), "ZT_PORT": str(port)}
    env = settings(system, party) | own | {"ZT_BENCH_VARIANT": name, "ZT_BENCH_PARTY": party}
    launch = f"{name}/{party}"
    return Launch(
        party_id=system.registry.id(party), name=launch, code=launch_folders(system.registry)[launch], env=env
    )


def cpu_seconds(system: System, name: str) -> float:
    """Return the CPU time of the processes of a set, in seconds, without the time that they waited for a core.

    Ledger and registry work for the one set that delivers its journals, and are counted with it.
    """
    authorities = system.registry.authorities
    shared = {authorities.audit, authorities.registry} if name == DELIVERS else set[str]()
    running = [one for one in system.authority.running if one.launch.name.startswith(f"{name}/")]
    running += [one for one in system.authority.running if one.launch.name in shared]
    pids = [one.process.pid for one in running]
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9
