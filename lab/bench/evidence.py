"""Measures evidence: how long it takes to verify an export, how long a proof is, and how that grows with the log.

Nothing of the system runs.  An export with so many leaves is made first, of records as a documents tool writes them.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.program import FOLDER, console, say, show
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Trace
from zerotrust.audit.event_types import Request
from zerotrust.audit.export import IN_A_LINE, Header, hashes_line, lines_of
from zerotrust.audit.forms import MICROSECONDS, Text
from zerotrust.audit.leaf import Heads, heads_leaf
from zerotrust.audit.record import GENESIS, Link, hash_of
from zerotrust.audit.verification import Verification
from zerotrust.tlog.checkpoint import Checkpoint, cosigned, signed
from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, VerifierKey
from zerotrust.tlog.proof import Proof
from zerotrust.tlog.quorum import TrustPolicy
from zerotrust.tlog.tree import Node, inclusion_proof, leaf_hash, node_hash, root

SIZES = [10_000, 100_000, 1_000_000]
BATCH = 100
"""Leaves of a batch, the last of which has the heads."""
ORIGIN, SERVICE = "agents.example/audit", "spiffe://agents.example/tool/documents"
START = 1_795_600_000 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Row:
    """What evidence of a log of one size costs."""

    leaves: int
    verified_s: float
    us_a_leaf: float
    bytes_a_leaf: float
    proof_bytes: int


def main(sizes: Annotated[list[int] | None, typer.Argument(help="leaves of a log")] = None) -> None:
    """Measure, print, and write `run/evidence.json`."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or SIZES:
            say(f"A log of {size:,} leaves")
            rows.append(measured(size, Path(folder) / "export"))
    console.rule("What evidence costs")
    show(
        ("leaves", "verified in s", "µs a leaf", "export: bytes a leaf", "bytes of a proof"),
        ((f"{a:,}", f"{b:.2f}", f"{c:.1f}", f"{d:.0f}", f"{e:,}") for a, b, c, d, e in (astuple(one) for one in rows)),
        right=True,
    )
    file = FOLDER / "evidence.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    say(f"All numbers: {file}")


def measured(size: int, file: Path) -> Row:
    """Make an export of so many leaves, and verify it; the seconds are those on a core."""
    levels = _levels([leaf_hash(leaf) for leaf in leaves(size)])
    node = _node(levels)
    note, policy = _signed(Checkpoint(ORIGIN, size, root(size, node)))
    with file.open("wb") as export:
        export.write(Header(note).line)
        for start in range(0, size, IN_A_LINE):
            export.write(hashes_line(b"".join(levels[0][start : start + IN_A_LINE])))
        export.writelines(leaf + b"\n" for leaf in leaves(size))
    with file.open("rb") as export:
        began = time.process_time()
        count = sum(1 for _ in Verification(lines_of(export), policy).leaves())
        took = time.process_time() - began
    if count != size:
        raise RuntimeError(f"{count} leaves were verified, not {size}")
    proof = str(Proof(size // 2, tuple(inclusion_proof(size // 2, size, node)), note))
    return Row(size, took, took / size * MICROSECONDS, file.stat().st_size / size, len(proof.encode()))


def leaves(size: int) -> Iterator[bytes]:
    """Yield the leaves of a log: records of one service, and behind each batch the heads."""
    content, link = _event(), GENESIS
    for number in range(1, size + 1):
        if number % BATCH and number < size:
            event = content.replace(b'"time":0', b'"time":%d' % (START + number))
            line = b'{"event":%b,"n":%d,"prev":"%b"}' % (event, link.records + 1, link.head.encode())
            link = Link(link.records + 1, hash_of(line))
            yield line
        else:
            yield heads_leaf(Heads({SERVICE: link} if link.records else {}, START + number))


def _event() -> bytes:
    """Return an event of usual length; its time is to be replaced."""
    uuid = "0b9d8c7e-5a2f-4f7e-8a55-2b1c9d3e4f50"
    actors = ("spiffe://agents.example/agent/reader", "spiffe://agents.example/orchestrator")
    caller = Caller(
        subject=uuid,
        party=actors[0],
        actors=actors,
        audience=SERVICE,
        scopes=("tool.read",),
        groups=("/engineering",),
        token_id=f"trrtte:{uuid}",
        lineage=(f"onrtac:{uuid}", f"trrtte:{uuid}"),
        transaction=f"onrtac:{uuid}",
        session=uuid,
        client="walkthrough",
        chain_started_at=START,
        issued_at=START,
        expires_at=START + 60 * MICROSECONDS,
    )
    data = Request(
        operation=Text("POST tools/call read"), decision=Decided(allowed=True, reason="granted"), principal=caller
    )
    trace = Trace(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7")
    return AuditEvent(schema=1, time=0, service=SERVICE, data=data, trace=trace).canonical()


def _levels(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the hashes of all perfect subtrees, by level."""
    levels = [hashes]
    while len(last := levels[-1]) > 1:
        levels.append([node_hash(left, right) for left, right in zip(last[::2], last[1::2], strict=False)])
    return levels


def _node(levels: Sequence[Sequence[bytes]]) -> Node:
    return lambda level, index: levels[level][index]


def _signed(checkpoint: Checkpoint) -> tuple[Note, TrustPolicy]:
    """Return a checkpoint as a log and a witness sign it, and the policy that has their keys."""
    log, witness = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    log_key = VerifierKey(ORIGIN, ED25519, log.public_key().public_bytes_raw())
    key = VerifierKey("registry", COSIGNATURE, witness.public_key().public_bytes_raw())
    note = signed(checkpoint, log_key, log)
    both = Note(note.text, (*note.signatures, cosigned(note.text, key, witness, START // MICROSECONDS)))
    return both, TrustPolicy((log_key,), {"registry": key}, {}, "registry")


if __name__ == "__main__":
    typer.run(main)
