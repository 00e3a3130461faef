"""The same parties several times over: each variant a set of its own, at ports of its own, from its own registry."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from authorities.attestation.launch import Launch
from demo.keycloak import check_port
from demo.system import System, settings
from lab.bench.numbers import Span
from zerotrust.registry import Registry

PORTS = {"none": 1000, "warm": 2000, "naive": 3000}
"""The sets, and how far their ports lie above those of the registry."""
PARTIES = ("orchestrator", "agent/reader", "tool/documents", "inference")
"""Whoever takes part in the task."""


def variant(system: System, name: str) -> System:
    """One set, as a system: whoever it is made of runs, or ran, with these addresses and folders."""
    parties = {
        party: entry.model_copy(update={"port": entry.port and entry.port + PORTS[name]})
        for party, entry in system.registry.parties.items()
    }
    registry = system.registry.model_copy(update={"parties": parties})
    return replace(system, registry=registry, folder=system.folder / name)


def launches(system: System) -> dict[str, Launch]:
    """All sets, by the addresses where their parties will answer."""
    found = {}
    for name in PORTS:
        these = variant(system, name)
        shutil.rmtree(these.folder, ignore_errors=True)
        these.folder.mkdir()
        file = _written(these.registry, these.folder / "registry.yaml")
        for party in PARTIES:
            check_port(these.registry.parties[party].port or 0, f"{name} {party}")
            found[these.address(party)] = _launch(these, name, party, file)
    return found


def _written(registry: Registry, file: Path) -> Path:
    file.write_text(registry.model_dump_json())  # JSON is YAML
    return file


def _launch(system: System, name: str, party: str, registry: Path) -> Launch:
    code = system.registry.parties[party].code
    return Launch(
        party_id=system.registry.id(party),
        name=f"{name}/{party}",
        code=("lab/bench/party", *code),
        env=settings(system, party)
        | {
            "ZT_REGISTRY": str(registry),
            "ZT_BENCH_VARIANT": name,
            "ZT_BENCH_PARTY": party,
            "ZT_BENCH_MODULE": f"{code[0].replace('/', '.')}.main",
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


def spans(system: System, name: str) -> dict[str, list[Span]]:
    """What the parties of one set did, by party; they write it down when they end."""
    these = variant(system, name)
    return {party: list(_read(these.data(party) / "spans.jsonl")) for party in PARTIES}


def _read(file: Path) -> Iterable[Span]:
    return (Span(*json.loads(line)) for line in file.read_text().splitlines())
