"""A log that Tessera 1.0.4 wrote and litewitness 0.6.1 cosigned, read with the library."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.export import export_lines
from evidence.fault import LOG as THE_LOG
from evidence.fault import Faulty
from evidence.verification import Verification
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.authority.log.tiles import WIDTH, decode_bundle, node_reader, tile_path
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import Note, parse_note
from zerotrust.tlog.proof import Proof, parse_proof
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import InvalidLog

LOG = Path(__file__).parents[1] / "golden" / "log"
READER = policy((LOG / "policy").read_text())
SIZE = 600


def read(name: str) -> bytes:
    return (LOG / name).read_bytes()


@pytest.fixture
def note() -> Note:
    return parse_note(read("checkpoint"))


@pytest.fixture
def checkpoint(note: Note) -> Checkpoint:
    return READER.check(note)[0]


@pytest.mark.parametrize("index", [0, 1, WIDTH - 1, WIDTH, 512, SIZE - 1])
def test_an_entry_of_it_is_proved_offline(note: Note, checkpoint: Checkpoint, index: int) -> None:
    tile, at = divmod(index, WIDTH)
    width = min(WIDTH, SIZE - tile * WIDTH)
    entry = decode_bundle(read(tile_path("entries", tile, width)), width)[at]
    found = parse_proof(str(Proof(index, tuple(inclusion_proof(index, SIZE, node_reader(read, SIZE))), note)).encode())

    assert found.check(entry, READER)[0] == checkpoint
    with pytest.raises(InvalidLog):
        found.check(entry.replace(b"entry", b"Entry"), READER)


def test_an_export_of_it_is_signed_and_its_hashes_are_though_it_has_no_records(note: Note) -> None:
    """Its leaves are texts, so this log is none of journals, and that is all that is wrong."""
    lines: Iterator[bytes] = export_lines(note, read)
    verification = Verification(lines, READER)

    assert (verification.checkpoint.size, set(verification.cosigned)) == (SIZE, {"lite"})
    with pytest.raises(Faulty) as caught:
        next(verification.leaves())
    assert (caught.value.fault.what, caught.value.fault.who, caught.value.fault.leaf) == ("malformed", THE_LOG, 0)
    changed = (line.replace(b"entry 0 ", b"Entry 0 ") for line in export_lines(note, read))
    with pytest.raises(Faulty) as caught:
        next(Verification(changed, READER).leaves())
    assert (caught.value.fault.what, caught.value.fault.leaf) == ("changed", 0)
