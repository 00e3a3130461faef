"""Measures a journal by itself: its records a second, and a start after a million of them."""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Policy
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.journal import Journal
from zerotrust.audit.segments import Segments

RECORDS = 1_000_000
"""That a start finds: a gigabyte."""
AT_ONCE = 16
"""Callers whose records wait at the same time."""
APPENDED = 20_000
_STARTS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lab.bench.journal import started
started(sys.argv[1])
"""


def measured(folder: Path) -> dict[str, float]:
    """Return numbers by name; the journals are in this folder for the time being."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "journal.jsonl"
        rate = asyncio.run(_rate(path.with_name("rate.jsonl")))
        size = _filled(path)
        told = subprocess.run(  # noqa: S603 - the text above
            [sys.executable, "-c", _STARTS, str(path)], stdout=subprocess.PIPE, text=True, check=True
        )
        seconds, peak = map(float, told.stdout.split())
    return {
        "journal_records_per_s": rate,
        "journal_bytes_per_record": size,
        "journal_start_ms": seconds * 1000,
        "journal_start_peak_mib": peak,
    }


def started(path: str) -> None:
    """Open a journal in a process of its own, and print the seconds it took and the MiB at most in use."""
    began = time.monotonic()
    journal = Journal(Path(path))
    took = time.monotonic() - began
    journal.close()
    print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _filled(path: Path) -> float:
    """Write a journal of `RECORDS` records, as a gate does; return the bytes of one."""
    event, segments = _event(), Segments(path)
    for _ in range(RECORDS // 1000):
        segments.commit([event] * 1000)
    segments.close()
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / RECORDS


async def _rate(path: Path) -> float:
    """Return the records a second that are on the disk, of callers who each wait for theirs."""
    journal, event = Journal(path), _event()

    async def one_after_the_other() -> None:
        for _ in range(APPENDED // AT_ONCE):
            await journal.append(event)

    began = time.monotonic()
    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    took = time.monotonic() - began
    journal.close()
    return APPENDED / took


def _event() -> bytes:
    """The record of a call that was admitted at the documents tool."""
    orchestrator, reader = "spiffe://agents.example/orchestrator", "spiffe://agents.example/agent/reader"
    tool, now = "spiffe://agents.example/tool/documents", 1_795_600_000_000_000
    caller = Caller(
        subject="a11ce000-0000-4000-8000-000000000000",
        party=reader,
        actors=(reader, orchestrator),
        audience=tool,
        scopes=("tool.read",),
        groups=("/engineering",),
        token_id="trrtte:52f0b9d1-7c1e-4f6a-9a55-2b1c9d3e4f50",  # noqa: S106 - an id
        lineage=("onrtac:8d1f6a07-7c1e-4f6a-9a55-2b1c9d3e4f50", "trrtte:0c3e9b44-7c1e-4f6a-9a55-2b1c9d3e4f50"),
        transaction="onrtac:8d1f6a07-7c1e-4f6a-9a55-2b1c9d3e4f50",
        session="5f2c7c1e-53f5-4c8e-9d0d-3f0f5d1c7a11",
        client="walkthrough",
        chain_started_at=now,
        issued_at=now,
        expires_at=now + 60_000_000,
    )
    policy = Policy(version="41d3c5a0b7e2", rules=("use-an-api",))
    data = Request(
        operation=sanitize("POST tools/call read"),
        decision=Decided(allowed=True, reason="granted", policy=policy),
        principal=caller,
        permission="tool.read",
    )
    return AuditEvent(schema=1, time=now, service=tool, data=data, measurement="0" * 64).canonical()
