"""`make bench`: measures what zero trust costs, with the real Keycloak and real processes."""

import asyncio
import json
import os
import sys
from typing import Annotated

import typer
from rich.text import Text

from demo.intruder import INSIDERS
from deploy.ogx import Provider
from lab.bench import journal
from lab.bench.inclusion import inclusion
from lab.bench.measure import TASK, measure
from lab.bench.numbers import Ratio, summarise
from lab.bench.throughput import throughput
from lab.bench.variants import launches, unregistered
from lab.bench.where import show_parts, where
from local.llama_stack import SCRIPTED, LlamaStackError, check_able
from local.program import FOLDER, console, say, show, until_stopped
from local.start import running
from local.system import ROOT
from zerotrust.registry.model import load_registry


def main(rounds: Annotated[int, typer.Option(min=1, help="rounds; every variant runs in each")] = 30) -> None:
    """Measure, print, and write `run/bench.json`."""
    folder, code = FOLDER / "bench", unregistered(load_registry(ROOT / "registry.yaml"))

    async def work() -> int:
        everything = running(
            folder,
            say=say,
            insiders=(*INSIDERS, "inference"),
            parties=launches,
            unregistered=code,
            provider=model_server(),
        )
        async with everything as system:
            async with inclusion(system.data(system.registry.authorities.audit) / "log") as seen:
                measured = await measure(system, rounds=rounds, say=say)
                say("Many clients at once")
                await throughput(system, measured)
                say("Where the time goes")
                parts = await where(system)
            measured.apart["inclusion"] = await asyncio.to_thread(seen.seconds)
            say("Everything ends")
        numbers, ratios = summarise(measured)
        say("A journal with a million records is made")
        numbers |= await asyncio.to_thread(journal.measured, folder)
        report(numbers, ratios)
        show_parts(parts["none"], parts["warm"])
        numbers |= {f"part_{name}_{at}_ms": 1000 * took for at in parts for name, took in parts[at].items()}
        file = FOLDER / "bench.json"
        file.write_text(json.dumps({name: round(value, 3) for name, value in numbers.items()}, indent=2) + "\n")
        say(f"All numbers: {file}")
        return 0

    sys.exit(until_stopped(work()))


def model_server() -> Provider | None:
    """Return the script behind a Llama Stack server, if that is installed."""
    try:
        check_able()
    except LlamaStackError as error:
        say(f"Without a Llama Stack server. {error}")
        return None
    return SCRIPTED


def report(numbers: dict[str, float], ratios: dict[str, Ratio]) -> None:
    """Print the cost of the task and of its parts."""
    console.rule("What one task costs")
    console.print(Text.assemble((TASK, "italic"), "  client → orchestrator → reader → documents and inference"))
    console.print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}: on a busy machine, trust only the ratios"
    )

    def ms(name: str) -> list[str]:
        return [f"{numbers[key]:.1f}" if (key := f"{name}_ms_{p}") in numbers else "" for p in ("p50", "p99")]

    show(
        ("", "p50 ms", "p99 ms", "times none: median of pairs (range)", "wanted"),
        (
            (label, *ms(name), str(ratios[ratio]) if ratio else "", wanted)
            for name, label, ratio, wanted in (
                ("task_none", "no security", "", ""),
                ("task_tls", "mutual TLS and nothing else", "mtls_ratio", "≤ 1.10"),
                ("task_warm", "zero trust, warm, with audit log and receipts", "warm_ratio", "≤ 1.40"),
                ("task_cold", "zero trust, cold: an exchange on every hop", "cold_ratio", ""),
                ("task_naive", "naive: introspection and a new client per call", "naive_ratio", ""),
                ("task_none15", "no security, a model that takes 15 ms", "", ""),
                ("task_warm15", "zero trust, warm, the same model", "warm_ratio_model15", "≤ 1.10"),
                ("cpu_none", "no security, time on a core", "", ""),
                ("cpu_tls", "mutual TLS, time on a core", "tls_cpu_ratio", ""),
                ("cpu_warm", "zero trust, warm, time on a core", "warm_cpu_ratio", ""),
                ("inclusion", "from a record to a cosigned checkpoint", "", "p99 < 1000"),
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
    if "journal_start_ms" in numbers:
        show(
            ("a journal by itself", "", "wanted"),
            (
                ("records a second on the disk, of 16 callers", f"{numbers['journal_records_per_s']:.0f}", ""),
                ("bytes of a record", f"{numbers['journal_bytes_per_record']:.0f}", ""),
                ("start with a million records, ms", f"{numbers['journal_start_ms']:.0f}", "< 1000"),
                ("and the memory in use, MiB", f"{numbers['journal_start_peak_mib']:.0f}", ""),
            ),
            right=True,
        )
    show(
        ("the parts, each alone", "p50 ms", "p99 ms"),
        (
            (label, *ms(name))
            for name, label in (
                ("exchange", "an exchange at Keycloak"),
                ("introspection", "an introspection at Keycloak"),
                ("plain_call", "a POST over a kept connection, in the clear"),
                ("mtls_call", "the same over mutual TLS"),
                ("handshake", "a new connection with mutual TLS"),
                ("svid", "an X.509-SVID, after a check of all files"),
                ("jwt_svid", "a JWT-SVID"),
            )
        ),
        right=True,
    )
    show(
        ("a call of the model", "p50 ms", "p99 ms"),
        (
            (label, *ms(name))
            for name, label in (
                ("model", "the script, without a door"),
                ("model_door", "the script, through the door of inference"),
                ("door_script", "what the door adds"),
                ("server", "a Llama Stack server, with its token"),
                ("server_door", "the same, through the door of inference"),
                ("door_stack", "what the door adds"),
            )
            if f"{name}_ms_p50" in numbers
        ),
        right=True,
    )


if __name__ == "__main__":
    typer.run(main)
