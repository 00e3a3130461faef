"""The arithmetic of the benchmark, and that its unguarded parties do the very same task."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.bench.__main__ import report
from lab.bench.measure import TASK, measure
from lab.bench.numbers import Measured, summarise
from lab.bench.party.main import PORTS, shifted
from lab.bench.party.unguarded import Unguarded
from lab.bench.variants import PARTIES, sets, variant
from start.system import System as Real
from start.waiting import started
from tests.support.issuer import Issuer
from tests.support.system import System, deployment, registry, running
from zerotrust.audit.event_types import Exchange, Request
from zerotrust.registry.snapshot import deployed_at
from zerotrust.service import Service

WARM_UP = 1


def test_the_summary_has_every_number_by_its_name_and_each_ratio_is_of_the_same_round() -> None:
    """Without security a task takes 1 s, and 2 s in the second round."""
    ends = {"none": 1.0, "tls": 1.1, "warm": 1.2, "none15": 2.0, "warm15": 2.2, "cold": 3.0}
    measured = Measured(
        {name: [[took], [2 * took]] for name, took in ends.items()},
        {name: [took / 2, took] for name, took in ends.items()},
    )
    measured.per_second |= {"none": [100.0, 90.0, 80.0], "warm": [80.0, 81.0, 80.0]}
    numbers, ratios = summarise(measured)
    report(numbers, ratios)

    assert (numbers["throughput_none_per_s"], numbers["throughput_warm_per_s"]) == (90, 80)
    assert astuple(ratios["throughput_ratio"]) == pytest.approx((0.9, 0.8, 1.0))

    compared = {"mtls": 1.1, "warm": 1.2, "cold": 3.0}
    for name, wanted in compared.items():
        assert astuple(ratios[f"{name}_ratio"]) == pytest.approx((wanted, wanted, wanted))
    assert ratios["warm_ratio_model15"].median == numbers["warm_ratio_model15"] == pytest.approx(1.1)
    assert ratios["warm_cpu_ratio"].median == pytest.approx(1.2)
    assert (numbers["task_warm_ms_p50"], numbers["task_warm_ms_p99"]) == (1200, 2400)
    assert numbers["cpu_warm_ms_p50"] == pytest.approx(900)
    assert json.loads(json.dumps(numbers)).keys() == numbers.keys()


@pytest.fixture
def ask(tmp_path: Path, issuer: Issuer) -> Callable[..., Any]:
    async def ask(kind: type[Service], token: str | None) -> tuple[httpx.Response, System]:
        async with running(tmp_path / kind.__name__, issuer=issuer, kind=kind) as system:
            return await system.client("orchestrator", token).post("/tasks", json={"request": TASK}), system

    return ask


def test_only_one_variant_reaches_the_audit_log() -> None:
    snapshot = deployed_at(deployment(), registry(), approved={})
    there = snapshot.places["authority/audit"]

    found = {name: shifted(snapshot, name).places["authority/audit"] for name in PORTS}

    assert [name for name, place in found.items() if place == there] == ["warm"]


async def test_unguarded_parties_do_the_very_same_task(ask: Callable[..., Any], issuer: Issuer) -> None:
    guarded, _ = await ask(Service, issuer.token())
    unguarded, system = await ask(Unguarded, None)

    assert "A static key stood in a build log" in unguarded.json()["result"]["text"]
    assert unguarded.json()["result"]["text"] == guarded.json()["result"]["text"]
    assert [step["text"] for step in unguarded.json()["steps"]] == [step["text"] for step in guarded.json()["steps"]]
    assert all(system.records(name) == [] for name in PARTIES)


@pytest.mark.e2e
@pytest.mark.exhaustive
@pytest.mark.asyncio(loop_scope="session")
async def test_every_variant_does_the_task_on_the_real_system(real: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.measure.WARM_UP", WARM_UP)
    parties = {address: await real.authority.launch(launch) for address, launch in sets(real).items()}
    try:
        for address, party in parties.items():
            await started(real, address, party)
        measured = await measure(real, rounds=1, say=print)
    finally:
        await asyncio.gather(*(party.end() for party in parties.values()))

    report(*summarise(measured))
    seen = {name: [event.data for event in variant(real, "warm").events(name)] for name in PARTIES}
    cold, warm = WARM_UP + 4, (WARM_UP + 8) + (WARM_UP + 3)
    requests = [sum(isinstance(one, Request) and one.principal is not None for one in seen[name]) for name in PARTIES]
    assert requests[:-1] == [(cold + warm) * calls for calls in (1, 1, 3)]
    lists = requests[-1] - 3 * (cold + warm)  # of models: once for each token, and now and then once more
    assert cold < lists < cold + warm
    exchanges = Counter(
        one.principal.transaction for each in seen.values() for one in each if isinstance(one, Exchange)
    )
    assert sorted(exchanges.values())[:-1] == [4] * cold  # a cold task has a token of its own
    assert max(exchanges.values()) < warm  # all warm ones have the same, exchanged by the first of them
