"""The arithmetic of the benchmark, and that its unguarded parties do the very same task."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.bench.measure import SLOW, TASK, VARIANTS, Measured, measure
from lab.bench.numbers import Ratio, Span, begun_in, in_series, inside, paired, percentile
from lab.bench.party.spans import Spans
from lab.bench.party.thinking import thinking
from lab.bench.party.unguarded import Unguarded
from lab.bench.summary import SPANS_OF, summarise
from lab.bench.variants import PARTIES, PORTS, sets, spans
from local.system import System as Real
from local.system import started
from tests.support.clients import said, use
from tests.support.issuer import Issuer
from tests.support.system import System, alive, running
from zerotrust.service import Service

APART = {"exchange", "introspection", "plain_call", "mtls_call", "handshake", "svid", "jwt_svid"}


def span(began: float, ended: float, kind: str = "request") -> Span:
    return Span(kind, began, ended)


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (99, 10), (100, 10), (10, 1), (0, 1)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(percent: int, value: int) -> None:
    assert percentile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], percent) == value


def test_a_ratio_is_taken_inside_a_round_so_that_a_slow_round_counts_like_any_other() -> None:
    quiet, noisy, lucky = ([12.0], [10.0]), ([120.0], [100.0]), ([10.0], [10.0])

    assert paired([quiet, noisy, lucky]) == Ratio(1.2, 1.0, 1.2)


def test_a_round_is_worth_its_median() -> None:
    assert paired([([1.0, 2.0, 90.0], [1.0, 1.0, 1.0])]).median == 2


def test_spans_that_overlap_are_waited_for_once() -> None:
    assert in_series([span(5, 6), span(1, 3), span(2, 4), span(2, 3)]) == [span(1, 4), span(5, 6)]


def test_only_what_lies_wholly_within_a_task_belongs_to_it() -> None:
    spans = [span(0, 2), span(1, 5), span(2, 3), span(4, 6), span(5, 6)]

    assert inside(span(1, 5), spans) == [span(1, 5), span(2, 3)]
    assert begun_in(span(1, 5), spans) == [span(1, 5), span(2, 3), span(4, 6)]


@pytest.fixture
def summary() -> tuple[dict[str, float], dict[str, Ratio]]:
    """One round: without security a task takes 1 s, warm 1.2 s, cold 3 s of which 1 s is Keycloak's, naive 10 s."""
    ends = {"none": 1.0, "tls": 1.1, "warm": 1.2, "none15": 2.0, "warm15": 2.2, "cold": 3.0, "naive": 10.0}
    tasks = {one.name: [[Span(one.name, 100 * n, 100 * n + ends[one.name])]] for n, one in enumerate(VARIANTS)}
    by_set: dict[str, dict[str, list[Span]]] = {}
    for one in VARIANTS:
        began = tasks[one.name][0][0].began
        for party in PARTIES:
            by_set.setdefault(one.at, {}).setdefault(party, []).append(span(began + 0.1, began + 0.5))
    warm, cold = tasks["warm"][0][0].began, tasks["cold"][0][0].began
    by_set["warm"]["orchestrator"] += [span(warm + 0.1, warm + 0.2, "commit"), span(warm + 0.3, warm + 0.5, "commit")]
    by_set["warm"]["orchestrator"] += [span(cold + 0.1, cold + 0.6, "token"), span(cold, cold + 0.1, "identity")]
    by_set["warm"]["agent/reader"] += [span(cold + 1, cold + 1.5, "token"), span(cold + 1, cold + 1.4, "token")]
    measured = Measured(tasks, {name: [ends[name] / 2] for name in ends}, {kind: [span(0, 0.01)] for kind in APART})
    return summarise(measured, by_set)


def test_the_summary_is_one_flat_object_with_every_number_by_its_name(
    summary: tuple[dict[str, float], dict[str, Ratio]],
) -> None:
    numbers, _ = summary

    assert all(isinstance(value, int | float) for value in json.loads(json.dumps(numbers)).values())
    spread = {f"task_{one.name}" for one in VARIANTS} | {"commit", "cold_exchange", "cold_identity"} | APART
    spread |= {f"hop_{party.replace('/', '_')}_{variant}" for party in PARTIES for variant in SPANS_OF}
    ratios = {
        "warm_ratio",
        "warm_ratio_model15",
        "cold_ratio",
        "cold_ratio_without_keycloak",
        "naive_ratio",
        "mtls_ratio",
    }
    counts = {"commits_in_series", "exchanges_in_series", "warm_exchanges"}
    ratios |= {f"{name}_cpu_ratio" for name in ("tls", "warm", "cold", "naive")}
    ratios |= {"warm_ratio_without_commits"}
    counts |= {"task_warm_commits_ms_p50"} | {f"cpu_{one.name}_ms_p50" for one in VARIANTS}
    assert {f"{name}_ms_{p}" for name in spread for p in ("p50", "p99")} | ratios | counts <= numbers.keys()


def test_what_a_cold_task_waits_for_keycloak_is_taken_off_once_for_exchanges_at_the_same_time(
    summary: tuple[dict[str, float], dict[str, Ratio]],
) -> None:
    numbers, ratios = summary

    assert 2 <= numbers["exchanges_in_series"] <= 3  # a median: the reader's two overlap, unless one is very late
    assert numbers["cold_exchange_ms_p50"] == pytest.approx(500)
    assert ratios["cold_ratio"].median == pytest.approx(3)
    assert ratios["cold_ratio_without_keycloak"].median == pytest.approx(2)
    assert ratios["warm_ratio"].median == numbers["warm_ratio"] == pytest.approx(1.2)
    assert ratios["warm_ratio_without_commits"].median == pytest.approx(0.9)
    assert numbers["task_warm_commits_ms_p50"] == pytest.approx(300)
    assert ratios["warm_cpu_ratio"].median == pytest.approx(1.2)
    assert (numbers["commits_in_series"], numbers["warm_exchanges"]) == (2, 0)


@pytest.fixture
def ask(tmp_path: Path, issuer: Issuer) -> Callable[..., Any]:
    async def ask(kind: type[Service], token: str | None, request: str = TASK) -> tuple[httpx.Response, System]:
        async with running(tmp_path / kind.__name__, issuer=issuer, kind=kind) as system:
            return await system.client("orchestrator", token).post("/tasks", json={"request": request}), system

    return ask


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


async def test_a_party_notes_when_it_did_what_and_writes_it_down_at_its_end(tmp_path: Path, issuer: Issuer) -> None:
    file = tmp_path / "spans.jsonl"
    async with running(tmp_path, "inference", issuer=issuer) as system:
        from inference.main import create_app

        system.folder = tmp_path / "watched"
        app = Spans(file).watched(system.service("inference"), create_app)
        async with alive(app):
            system.apps[system.addresses["inference"]] = app
            token = issuer.delegated(
                "orchestrator", "agent/reader", aud=issuer.registry.id("inference"), scope="inference.run"
            )
            body = {"model": "scripted", "messages": [{"role": "user", "content": TASK}]}
            answer = await system.client("inference", token).post("/v1/chat/completions", json=body)
            assert answer.status_code == 200
            assert not file.exists()

    noted = {kind: (began, ended) for kind, began, ended in map(json.loads, file.read_text().splitlines())}
    assert noted.keys() == {"request", "commit", "certs", "openid-configuration"}
    assert noted["request"][0] < noted["certs"][0] < noted["certs"][1] < noted["commit"][0] < noted["commit"][1]
    assert noted["commit"][1] < noted["request"][1]


@pytest.mark.e2e
@pytest.mark.exhaustive
@pytest.mark.asyncio(loop_scope="session")
async def test_every_variant_does_the_task_on_the_real_system(real: Real, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.measure.WARM_UP", 1)
    parties = {address: await real.authority.launch(launch) for address, launch in sets(real).items()}
    try:
        for address, party in parties.items():
            await started(real, address, party)
        measured = await measure(real, rounds=1, say=print)
    finally:
        await asyncio.gather(*(party.end() for party in parties.values()))

    numbers, _ = summarise(measured, {name: spans(real, name) for name in PORTS})
    assert numbers["commits_in_series"] in (9, 10)  # ten, where a count of strangers falls between
    assert 2 <= numbers["exchanges_in_series"] <= 3  # a median: the reader's two overlap, unless one is very late
    assert numbers["warm_exchanges"] == 0
    assert measured.apart.keys() == APART
    assert [numbers[f"hop_{party.replace('/', '_')}_requests"] for party in PARTIES] == [1, 1, 3, 3]
