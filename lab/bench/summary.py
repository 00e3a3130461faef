"""From what was measured to one flat object: `run/bench.json`.  Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from lab.bench.measure import Measured
from lab.bench.numbers import Ratio, Span, begun_in, in_series, inside, paired, percentile

SPANS_OF = {"none": "none", "tls": "tls", "warm": "warm", "cold": "warm", "naive": "naive"}
"""Whose spans tell what happened in the tasks of a variant."""

Spans = Mapping[str, Mapping[str, Sequence[Span]]]
"""By set of parties, and by party."""


def summarise(measured: Measured, spans: Spans) -> tuple[dict[str, float], dict[str, Ratio]]:
    """All numbers under their names, in milliseconds where the name says so, and the ratios with their ranges."""
    numbers: dict[str, float] = {}
    for name, rounds in measured.tasks.items():
        numbers |= _spread(f"task_{name}", (task for tasks in rounds for task in tasks))
        numbers[f"cpu_{name}_ms_p50"] = median(measured.on_core[name]) * 1000
    for kind, alone in measured.apart.items():
        numbers |= _spread(kind, alone)
    cold = [task for tasks in measured.tasks["cold"] for task in tasks]
    waiting = {task: _waits(spans, "cold", task, "token") for task in cold}
    numbers |= _spread("cold_exchange", (wait for waits in waiting.values() for wait in waits))
    numbers |= _spread("cold_identity", (wait for task in cold for wait in _waits(spans, "cold", task, "identity")))
    numbers["exchanges_in_series"] = median(len(waits) for waits in waiting.values())
    warm = [task for tasks in measured.tasks["warm"] for task in tasks]
    commits = {task: _waits(spans, "warm", task, "commit") for task in warm}
    numbers |= _spread("commit", (commit for these in commits.values() for commit in these))
    numbers["task_warm_commits_ms_p50"] = (
        median(sum(commit.took for commit in these) for these in commits.values()) * 1000
    )
    numbers["commits_in_series"] = median(len(these) for these in commits.values())
    numbers["warm_exchanges"] = sum(len(_waits(spans, "warm", task, "token")) for task in warm)
    for variant, at in SPANS_OF.items():
        tasks = [task for tasks in measured.tasks[variant] for task in tasks]
        for party, these in spans[at].items():
            requests = [span for span in these if span.kind == "request"]
            hops = [hop for task in tasks for hop in begun_in(task, requests)]
            numbers |= _spread(f"hop_{party.replace('/', '_')}_{variant}", hops)
            numbers[f"hop_{party.replace('/', '_')}_requests"] = len(hops) / len(tasks)
    ratios = _ratios(measured, waiting | commits)
    return numbers | {name: ratio.median for name, ratio in ratios.items()}, ratios


def _ratios(measured: Measured, waits: Mapping[Span, Sequence[Span]]) -> dict[str, Ratio]:
    """`waits`: what to leave out, for cold tasks Keycloak's exchanges and for warm ones the commits."""
    took = {name: [[task.took for task in tasks] for tasks in rounds] for name, rounds in measured.tasks.items()}
    without = {
        name: [[task.took - sum(wait.took for wait in waits[task]) for task in tasks] for tasks in measured.tasks[name]]
        for name in ("warm", "cold")
    }
    on_core = {name: [[seconds] for seconds in rounds] for name, rounds in measured.on_core.items()}
    return {
        **{f"{name}_cpu_ratio": paired(zip(on_core[name], on_core["none"], strict=True)) for name in SPANS_OF},
        "mtls_ratio": paired(zip(took["tls"], took["none"], strict=True)),
        "warm_ratio": paired(zip(took["warm"], took["none"], strict=True)),
        "warm_ratio_without_commits": paired(zip(without["warm"], took["none"], strict=True)),
        "warm_ratio_model15": paired(zip(took["warm15"], took["none15"], strict=True)),
        "cold_ratio": paired(zip(took["cold"], took["none"], strict=True)),
        "cold_ratio_without_keycloak": paired(zip(without["cold"], took["none"], strict=True)),
        "naive_ratio": paired(zip(took["naive"], took["none"], strict=True)),
    }


def _waits(spans: Spans, variant: str, task: Span, kind: str) -> list[Span]:
    """What a task waited for, of one kind, at whichever party."""
    return in_series(
        span for these in spans[SPANS_OF[variant]].values() for span in inside(task, these) if span.kind == kind
    )


def _spread(name: str, spans: Iterable[Span]) -> dict[str, float]:
    took = [span.took * 1000 for span in spans]
    return {f"{name}_ms_p50": percentile(took, 50), f"{name}_ms_p99": percentile(took, 99)}
