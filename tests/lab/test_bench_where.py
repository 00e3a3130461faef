"""Where the time of a task goes: which part of the code a sample counts for, and that samples are taken and written."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.bench.party.parts import PARTS, REST, part
from lab.bench.where import shares, show_parts
from tests.support.system import ROOT

HTTPX, APP, GATE = "/lib/httpx/_client.py", "/run/x/agents/reader/main.py", "/run/x/zerotrust/gate.py"
DELIVERY = "/run/x/zerotrust/audit/delivery.py"
BUSY = """
import os, pathlib, signal, sys, time; sys.path[:0] = sys.argv[1:2]
from lab.bench.party.samples import SAMPLES, sampling
from zerotrust.limits.strict_json import strict_object
file = pathlib.Path(sys.argv[2]) / SAMPLES
sampling(file)
def busy():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        strict_object(b'{"a":[%b0]}' % (b"0," * 5000))
busy()
os.kill(os.getpid(), signal.SIGUSR1)
busy()
os.kill(os.getpid(), signal.SIGUSR2)
busy()
"""


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ((GATE, APP), "the gate itself"),
        ((asyncio.__file__, "<string>", GATE), "the gate itself"),
        ((asyncio.__file__, pytest.__file__, GATE), REST),
        ((HTTPX, APP, GATE), REST),
        ((APP, GATE), REST),
        (("/lib/json/decoder.py", "/run/x/zerotrust/limits/strict_json.py", GATE), "requests and JSON, read strictly"),
        (("/run/x/zerotrust/audit/segments.py", "/run/x/zerotrust/audit/journal.py", GATE), "records and commits"),
        (
            (HTTPX, "/run/x/zerotrust/audit/ledger.py", "/run/x/zerotrust/audit/delivery.py"),
            "delivery to the audit log",
        ),
        (("/run/x/zerotrust/spiffe/tls.py", DELIVERY), "TLS"),
        (("/run/x/zerotrust/spiffe/statement.py", "/run/x/zerotrust/sealing.py", GATE), "signatures of receipts"),
        (("/run/x/zerotrust/transport/egress.py", APP, GATE), REST),
        ((), REST),
    ],
)
def test_a_sample_counts_for_the_innermost_function_that_belongs_to_a_part(files: tuple[str, ...], name: str) -> None:
    assert part(files) == name


def test_every_part_names_modules_that_exist() -> None:
    modules = [str(file.relative_to(ROOT / "zerotrust")) for file in (ROOT / "zerotrust").rglob("*.py")]

    starts = [start for all_of_it in PARTS.values() for start in all_of_it]
    assert [start for start in starts if not any(module.startswith(start) for module in modules)] == []


def test_a_process_is_sampled_between_the_signals_alone(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-I", "-c", BUSY, str(ROOT), str(tmp_path)], check=True)  # noqa: S603

    (file,) = tmp_path.iterdir()
    counts = json.loads(file.read_text())
    assert counts["requests and JSON, read strictly"] > 0
    assert sum(counts.values()) < 0.7 / 0.004  # of the 0.9 s that it was busy


def test_the_time_is_shared_out_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    without, with_it = shares({REST: 10}, 0.02), shares({REST: 10, "TLS": 5}, 0.03)

    assert with_it == {REST: pytest.approx(0.02), "TLS": pytest.approx(0.01)}
    show_parts(without, with_it)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["TLS", "0.00", "10.00", "10.00", "0.50"] in lines
    assert ["all", "20.00", "30.00", "10.00", "0.50"] in lines
