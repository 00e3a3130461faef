"""`make bench`: what zero trust costs, measured here and now, on the real Keycloak and in real processes."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from lab.bench.measure import TASK, measure
from lab.bench.numbers import Ratio
from lab.bench.summary import SPANS_OF, summarise
from lab.bench.variants import PARTIES, PORTS, launches, spans, unregistered
from local.program import FOLDER, console, say, until_told
from local.system import ROOT, running
from zerotrust.registry.model import load_registry

INSIDERS = ("orchestrator", "agent/reader")
"""Whose identities what is measured by itself is measured with."""


def main(rounds: Annotated[int, typer.Option(min=1, help="how often every variant has its turn")] = 30) -> None:
    """Measure, print, and write `run/bench.json`."""
    folder, code = FOLDER / "bench", unregistered(load_registry(ROOT / "registry.yaml"))

    async def work() -> int:
        async with running(folder, say=say, insiders=INSIDERS, parties=launches, unregistered=code) as system:
            measured = await measure(system, rounds=rounds, say=say)
            say("Everything ends")
        numbers, ratios = summarise(measured, {name: spans(system, name) for name in PORTS})
        show(console, numbers, ratios)
        file = FOLDER / "bench.json"
        file.write_text(json.dumps({name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n")
        say(f"All of it, and more: {file}")
        return 0

    sys.exit(until_told(work()))


def show(console: Console, numbers: dict[str, float], ratios: dict[str, Ratio]) -> None:
    """Two tables: the task, and where its time goes."""
    console.rule("What one task costs")
    console.print(f"[italic]{TASK}[/italic]  client → orchestrator → reader → documents and inference")
    console.print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: on a busy machine trust the ratios only"
    )
    table = Table(box=HORIZONTALS)
    for column in ("", "p50 ms", "p99 ms", "times none: median of pairs (range)", "wanted"):
        table.add_column(column, justify="left" if not column else "right")
    for name, label, ratio, wanted in (
        ("task_none_ms", "no security", "", ""),
        ("task_tls_ms", "mutual TLS and nothing else", "mtls_ratio", "≤ 1.10"),
        ("task_warm_ms", "zero trust, warm", "warm_ratio", "≤ 1.40"),
        ("", "   without its commits to the journals", "warm_ratio_without_commits", ""),
        ("task_cold_ms", "zero trust, cold: an exchange on every hop", "cold_ratio", ""),
        ("", "   without what Keycloak takes for those", "cold_ratio_without_keycloak", ""),
        ("task_naive_ms", "naive: introspection and a new client per call", "naive_ratio", ""),
        ("task_none15_ms", "no security, a model that takes 15 ms", "", ""),
        ("task_warm15_ms", "zero trust, warm, the same model", "warm_ratio_model15", "≤ 1.15"),
        ("cpu_none_ms", "no security, time on a core", "", ""),
        ("cpu_tls_ms", "mutual TLS, time on a core", "tls_cpu_ratio", ""),
        ("cpu_warm_ms", "zero trust, warm, time on a core", "warm_cpu_ratio", ""),
    ):
        times = [f"{numbers[key]:.1f}" if (key := f"{name}_{p}") in numbers else "" for p in ("p50", "p99")]
        table.add_row(label, *times, str(ratios[ratio]) if ratio else "", wanted)
    console.print(table)
    console.rule("Per request of a hop, with what it waits for: p50 / p99 ms")
    table = Table(box=HORIZONTALS)
    for column in ("", "requests", *SPANS_OF):
        table.add_column(column, justify="left" if not column else "right")
    for party in PARTIES:
        key = f"hop_{party.replace('/', '_')}"
        times = [f"{numbers[f'{key}_{v}_ms_p50']:.2f} / {numbers[f'{key}_{v}_ms_p99']:.2f}" for v in SPANS_OF]
        table.add_row(party, f"{numbers[f'{key}_requests']:.0f}", *times)
    console.print(table)
    console.rule("What it is made of: p50 / p99 ms")
    console.print(f"{numbers['task_warm_commits_ms_p50']:6.2f}  all commits of a warm task together")
    for name, what in (
        ("commit", f"a commit of the journal inside the chain; {numbers['commits_in_series']:.0f} of them in series"),
        ("exchange", "an exchange at Keycloak, nothing else going on"),
        ("cold_exchange", f"a wait for one in a cold task; {numbers['exchanges_in_series']:.0f} of them in series"),
        ("cold_identity", "an identity from attestation, before each of those"),
        ("introspection", "an introspection at Keycloak"),
        ("plain_call", "a POST over a kept connection, in the clear"),
        ("mtls_call", "the same over mutual TLS"),
        ("handshake", "a new connection with mutual TLS"),
        ("svid", "an X.509-SVID, all files looked at before"),
        ("jwt_svid", "a JWT-SVID"),
    ):
        console.print(f"{numbers[f'{name}_ms_p50']:6.2f} / {numbers[f'{name}_ms_p99']:.2f}  {what}")


if __name__ == "__main__":
    typer.run(main)
