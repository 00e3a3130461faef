"""`make bench`: measures what zero trust costs, with the real Keycloak and real processes."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.text import Text

from lab.bench.measure import TASK, measure, measure_proofs, measure_throughput
from lab.bench.numbers import Ratio, summarise
from lab.bench.variants import launch_folders, launches
from start.everything import running
from start.program import FOLDER, console, run_until_stopped, say, show
from start.system import ROOT
from zerotrust.authority.files.snapshot_files import load_registry

BASES = {
    "task_tls": "task_none",
    "task_warm": "task_none",
    "task_cold": "task_none",
    "task_warm15": "task_none15",
    "cpu_tls": "cpu_none",
    "cpu_warm": "cpu_none",
}
"""The variant to which each row adds its milliseconds."""


def main(rounds: Annotated[int, typer.Option(min=1, help="rounds; every variant runs in each")] = 30) -> None:
    """Measure, print, and write `run/bench.json`."""
    folder, registry = FOLDER / "bench", load_registry(ROOT / "registry.yaml")

    async def work() -> int:
        async with running(folder, say=say, parties=launches, unregistered=launch_folders(registry)) as system:
            measured = await measure(system, rounds=rounds, say=say)
            measured.proofs = measure_proofs()
            say("Many clients at once")
            await measure_throughput(system, measured)
            say("Everything ends")
        numbers, ratios = summarise(measured)
        report(numbers, ratios)
        file = FOLDER / "bench.json"
        file.write_text(json.dumps({name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n")
        say(f"All numbers: {file}")
        return 0

    sys.exit(run_until_stopped(work()))


def report(numbers: dict[str, float], ratios: dict[str, Ratio]) -> None:
    """Print the cost of the task."""
    console.rule("What one task costs")
    console.print(Text.assemble((TASK, "italic"), "  client → orchestrator → reader → documents and inference"))
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    busy = "other programs were running: neither times nor ratios mean anything" if load > 2 * cores else "quiet enough"
    console.print(f"{cores} cores, load average {load:.1f}: {busy}")

    def ms(name: str, base: str) -> list[str]:
        found = [numbers.get(f"{name}_ms_{p}") for p in ("p50", "p99")]
        found.append(numbers[f"{name}_ms_p50"] - numbers[f"{base}_ms_p50"] if base else None)
        return ["" if value is None else f"{value:.{1 if value >= 1 else 2}f}" for value in found]

    show(
        ("", "p50 ms", "p99 ms", "ms added", "times none: median of pairs (range)", "wanted"),
        (
            (label, *ms(name, BASES.get(name, "")), str(ratios[ratio]) if ratio else "", wanted)
            for name, label, ratio, wanted in (
                ("task_none", "no security", "", ""),
                ("task_tls", "mutual TLS and nothing else", "mtls_ratio", "≤ 1.10"),
                ("task_warm", "zero trust, warm, with audit log and receipts", "warm_ratio", "≤ 1.40"),
                ("task_cold", "zero trust, cold: an exchange on every hop", "cold_ratio", ""),
                ("task_none15", "no security, a model that takes 15 ms", "", ""),
                ("task_warm15", "zero trust, warm, the same model", "warm_ratio_model15", "≤ 1.10"),
                ("cpu_none", "no security, time on a core", "", ""),
                ("cpu_tls", "mutual TLS, time on a core", "tls_cpu_ratio", ""),
                ("cpu_warm", "zero trust, warm, time on a core", "warm_cpu_ratio", ""),
                ("cpu_proof", "of it, the check of a proof of possession", "", "≤ 0.40"),
            )
        ),
        right=True,
    )
    if "throughput_ratio" in ratios:
        show(
            ("16 clients at once", "tasks a second", "times none: median of pairs (range)", "wanted"),
            (
                ("no security", f"{numbers['throughput_none_per_s']:.0f}", "", ""),
                ("zero trust", f"{numbers['throughput_warm_per_s']:.0f}", str(ratios["throughput_ratio"]), "≥ 0.80"),
            ),
            right=True,
        )


if __name__ == "__main__":
    typer.run(main)
