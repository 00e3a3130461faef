"""The arithmetic of the benchmark, and that its unguarded parties do the very same task."""

import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.bench.__main__ import report
from lab.bench.measure import TASK
from lab.bench.numbers import Durations, summarise
from lab.bench.party.unguarded import Unguarded
from lab.bench.variants import PARTIES
from tests.support.issuer import Issuer
from tests.support.system import System, running
from zerotrust.service import Service


def test_the_summary_has_every_number_by_its_name_and_each_ratio_is_of_the_same_round() -> None:
    """Without security a task takes 1 s, and 2 s in the second round."""
    ends = {"none": 1.0, "tls": 1.1, "warm": 1.2, "none15": 2.0, "warm15": 2.2, "cold": 3.0}
    measured = Durations(
        {name: [[took], [2 * took]] for name, took in ends.items()},
        {name: [took / 2, took] for name, took in ends.items()},
    )
    measured.proofs = [0.0002, 0.0003]
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
    assert (numbers["cpu_proof_ms_p50"], numbers["cpu_proof_ms_p99"]) == pytest.approx((0.2, 0.3))
    assert json.loads(json.dumps(numbers)).keys() == numbers.keys()


@pytest.fixture
def ask(tmp_path: Path, issuer: Issuer) -> Callable[..., Any]:
    async def ask(kind: type[Service], token: str | None) -> tuple[httpx.Response, System]:
        async with running(tmp_path / kind.__name__, issuer=issuer, kind=kind) as system:
            return await system.client("orchestrator", token).post("/tasks", json={"request": TASK}), system

    return ask


async def test_unguarded_parties_do_the_very_same_task(ask: Callable[..., Any], issuer: Issuer) -> None:
    guarded, _ = await ask(Service, issuer.token())
    unguarded, system = await ask(Unguarded, None)

    assert "A static key stood in a build log" in unguarded.json()["result"]["text"]
    assert unguarded.json()["result"]["text"] == guarded.json()["result"]["text"]
    assert [step["text"] for step in unguarded.json()["steps"]] == [step["text"] for step in guarded.json()["steps"]]
    assert all(system.records(name) == [] for name in PARTIES)
