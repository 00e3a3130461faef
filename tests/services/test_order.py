"""The order in which a system starts and ends, with real processes: at its end, those that others need come last."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from start import stopping
from tests.support.launched import Authority, Probe, launch_probe, locked, log_of, project
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry

SLOWLY = "import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), os._exit(0))); answer = 0"
NOT_AT_ALL = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); answer = 0"


@pytest.fixture
def place() -> Iterator[Path]:
    with project() as place:
        yield place


@pytest.fixture
def registry(place: Path) -> Registry:
    return load_registry(place / "project/registry.yaml")


@pytest.fixture
async def probes(place: Path, registry: Registry) -> AsyncIterator[dict[str, Probe]]:
    """Who runs, in another order than that in which they have to end."""
    root = place / "project"
    names = registry.authorities.registry, registry.authorities.audit, "agent/reader", registry.authorities.policy
    async with Authority(registry, locked(registry, root), root, place / "run") as authority:
        yield {name: await launch_probe(authority, registry, place, party=name) for name in names}


def ended(place: Path) -> list[str]:
    return [line["party"].split("/", 3)[3] for line in log_of(place / "run") if line["event"] == "ended"]


async def test_the_ledger_ends_after_the_parties_and_the_registry_after_the_ledger(
    probes: dict[str, Probe], registry: Registry, place: Path
) -> None:
    authorities = registry.authorities
    for slow in "agent/reader", authorities.audit:
        await probes[slow].run(SLOWLY)

    await stopping.end_in_order([one.launched for one in probes.values()], authorities)

    assert ended(place) == [authorities.policy, "agent/reader", authorities.audit, authorities.registry]


async def test_who_does_not_end_or_has_ended_before_holds_nobody_up(
    probes: dict[str, Probe], registry: Registry, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "SECONDS", 0.2)
    authorities = registry.authorities
    await probes["agent/reader"].run(NOT_AT_ALL)
    os.kill(probes[authorities.audit].launched.process.pid, signal.SIGKILL)
    await probes[authorities.audit].launched.ended.wait()

    await stopping.end_in_order([one.launched for one in probes.values()], authorities)

    assert ended(place)[0] == authorities.audit
    assert not probes["agent/reader"].launched.ended.is_set()  # the authority kills it
    assert probes[authorities.registry].launched.end_requested.is_set()
