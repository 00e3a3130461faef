"""Measures the ledger: how many records a second it publishes, how long a start takes, and what the log needs.

The real log and the registry's real witness, in one process: what is left out is mutual TLS, once for each batch.  The
records are those of `evidence.py`.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import typer
from fastapi import FastAPI

from authorities.audit.cosigning import Cosigners
from authorities.audit.log import Log
from authorities.registry.witness import Witness, add_witness_routes
from lab.bench.evidence import ORIGIN, SERVICE, leaves
from local.program import FOLDER, console, say, show
from zerotrust.audit.segments import Segments

SIZES = [10_000, 1_000_000]
BATCH = 1_000
"""Lines of a batch, as many as one request of a party has."""
ALONE = 50
"""Batches of one line."""
STARTS = 5
JOURNAL = "journal.jsonl"
REGISTRY = "http://registry.example"


@dataclass(frozen=True, slots=True)
class Row:
    """What a ledger with so many records costs."""

    records: int
    records_a_second: float
    alone_ms: float
    start_ms: float
    journal_start_ms: float
    bytes_a_record: float
    journal_bytes_a_record: float


def main(sizes: Annotated[list[int] | None, typer.Argument(help="records of a log")] = None) -> None:
    """Measure, print, and write `run/ledger.json`."""
    rows = []
    for size in sizes or SIZES:
        say(f"A log of {size:,} records")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(asyncio.run(measured(size, Path(folder))))
    console.rule("What the ledger costs")
    show(
        ("records", "records/s", "one alone ms", "start ms", "journal: start ms", "bytes a record", "in the journal"),
        (
            (f"{a:,}", f"{b:,.0f}", f"{c:.1f}", f"{d:.0f}", f"{e:.0f}", f"{f:,.0f}", f"{g:,.0f}")
            for a, b, c, d, e, f, g in (astuple(one) for one in rows)
        ),
        right=True,
    )
    file = FOLDER / "ledger.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    say(f"All numbers: {file}")


async def measured(size: int, folder: Path) -> Row:
    """Fill a log and a journal with so many records, and start both again."""
    (folder / "registry").mkdir()
    add_witness_routes(app := FastAPI(), Witness(folder / "registry", "agents.example/registry", ORIGIN))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        cosigners = Cosigners(REGISTRY, http=http)
        log, journal = await _started(folder, cosigners), Segments(folder / "journal" / JOURNAL)
        records, took = _records(), list[float]()
        for count in (*(BATCH for _ in range(0, size, BATCH)), *(1 for _ in range(ALONE))):
            lines = list(islice(records, count))
            journal.commit([_event(line) for line in lines])
            began = time.monotonic()
            await log.add(lines, {SERVICE: journal.link})
            took.append(time.monotonic() - began)
        await log.close()
        journal.close()
        starts = list[float]()
        for _ in range(STARTS):
            began = time.monotonic()
            log = await _started(folder, cosigners)
            starts.append(time.monotonic() - began)
            await log.close()
    return Row(
        records=size,
        records_a_second=size / sum(took[:-ALONE]),
        alone_ms=median(took[-ALONE:]) * 1000,
        start_ms=median(starts) * 1000,
        journal_start_ms=median(_journal_start(folder) for _ in range(STARTS)) * 1000,
        bytes_a_record=_bytes(folder / "ledger" / "log") / journal.link.records,
        journal_bytes_a_record=_bytes(folder / "journal") / journal.link.records,
    )


async def _started(folder: Path, cosigners: Cosigners) -> Log:
    log = await Log.open(folder / "ledger", ORIGIN, cosigners)
    await log.finish()
    return log


def _journal_start(folder: Path) -> float:
    """Return the seconds until a journal is open."""
    began = time.monotonic()
    Segments(folder / "journal" / JOURNAL).close()
    return time.monotonic() - began


def _records() -> Iterator[bytes]:
    """Yield the lines of one journal, without end."""
    return (leaf for leaf in leaves(sys.maxsize) if not leaf.startswith(b'{"heads"'))


def _event(line: bytes) -> bytes:
    return line.rpartition(b',"n":')[0].removeprefix(b'{"event":')


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    typer.run(main)
