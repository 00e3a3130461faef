"""The arithmetic of the benchmark, and that its unguarded parties do the very same task."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from lab.bench import variants
from lab.bench.__main__ import report
from lab.bench.measure import SLOW, TASK, measure
from lab.bench.numbers import Measured, Ratio, paired, percentile, summarise
from lab.bench.party.main import PORTS, shifted
from lab.bench.party.thinking import thinking
from lab.bench.party.unguarded import Unguarded
from lab.bench.variants import PARTIES, sets, variant
from local.system import System as Real
from local.waiting import started
from tests.support.clients import said, use
from tests.support.issuer import Issuer
from tests.support.system import System, deployment, registry, running
from zerotrust.audit.event_types import Exchange, Request
from zerotrust.registry.snapshot import deployed_at
from zerotrust.service import Service

WARM_UP = 1


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (99, 10), (100, 10), (10, 1), (0, 1)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(percent: int, value: int) -> None:
    assert percentile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], percent) == value


def test_a_ratio_is_taken_inside_a_round_so_that_a_slow_round_counts_like_any_other() -> None:
    quiet, noisy, lucky = ([12.0], [10.0]), ([120.0], [100.0]), ([10.0], [10.0])

    assert paired([quiet, noisy, lucky]) == Ratio(1.2, 1.0, 1.2)


def test_a_round_is_worth_its_median() -> None:
    assert paired([([1.0, 2.0, 90.0], [1.0, 1.0, 1.0])]).median == 2


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
    async def ask(kind: type[Service], token: str | None, request: str = TASK) -> tuple[httpx.Response, System]:
        async with running(tmp_path / kind.__name__, issuer=issuer, kind=kind) as system:
            return await system.client("orchestrator", token).post("/tasks", json={"request": request}), system

    return ask


def test_only_one_variant_reaches_the_audit_log() -> None:
    snapshot = deployed_at(deployment(), registry(), approved={})
    there = snapshot.places["authority/audit"]

    found = {name: shifted(snapshot, name).places["authority/audit"] for name in PORTS}

    assert [name for name, place in found.items() if place == there] == ["warm"]


def test_all_authorities_run_that_the_parties_need(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = registry()
    launched = {name: SimpleNamespace(name=name) for name in found.launched}
    monkeypatch.setattr(variants, "registered", lambda _: launched)
    monkeypatch.setattr(variants, "sets", lambda _: {})

    system: Any = SimpleNamespace(registry=found)
    assert variants.launches(system).keys() == {"authority/registry", "authority/audit", "authority/policy"}


async def test_unguarded_parties_do_the_very_same_task(ask: Callable[..., Any], issuer: Issuer) -> None:
    guarded, _ = await ask(Service, issuer.token())
    unguarded, system = await ask(Unguarded, None)

    assert "A static key stood in a build log" in unguarded.json()["result"]["text"]
    assert unguarded.json()["result"]["text"] == guarded.json()["result"]["text"]
    assert [step["text"] for step in unguarded.json()["steps"]] == [step["text"] for step in guarded.json()["steps"]]
    assert all(system.records(name) == [] for name in PARTIES)


async def test_handlers_of_unguarded_parties_find_somebody_to_work_for(tmp_path: Path, issuer: Issuer) -> None:
    async with running(tmp_path, "tool/documents", issuer=issuer, kind=Unguarded) as system:
        filed = said(await use(system, None, "create", title="t", text="x"))

    assert json.loads(filed)["department"] == "/engineering"


async def test_whether_the_model_takes_its_time_does_not_change_the_answer(
    ask: Callable[..., Any], issuer: Issuer
) -> None:
    quick, _ = await ask(Unguarded, None, TASK)
    slow, _ = await ask(Service, issuer.token(), SLOW)

    assert quick.json()["result"]["text"] == slow.json()["result"]["text"]


async def test_a_model_takes_its_time_where_it_is_asked_to_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    monkeypatch.setattr("lab.bench.party.thinking.asyncio.sleep", sleep)
    for task in (TASK, SLOW):

        async def receive(task: str = task) -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps({"content": task}).encode()}

        await thinking(app)({"type": "http"}, receive, receive)  # type: ignore[arg-type]

    assert slept == [0.015]


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
