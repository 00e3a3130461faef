"""Finds a record in the log, and its proof: what the command `zt audit proof` does."""

from zerotrust.audit.outline import Outline, outline
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.tlog.proof import Proof
from zerotrust.tlog.tiles import WIDTH, entries_of, path, reader
from zerotrust.tlog.tree import inclusion_proof
from zt.evidence import EvidenceError
from zt.log_folder import LogFolder


def proved(log: LogFolder, wanted: int | tuple[str, int]) -> tuple[bytes, Proof]:
    """Return a leaf and its proof, by its place in the log, or by the service and the number of its record.

    Raises `EvidenceError` and `LogFolderError`.
    """
    size = checkpoint_of(log.note).size
    place = wanted if isinstance(wanted, int) else _place(log, size, *wanted)
    if place is None or not 0 <= place < size:
        raise EvidenceError(f"The log in {log.folder} has no such leaf: it has {size:,}, from 0 on.", "no_such_leaf")
    tile = place // WIDTH
    width = min(WIDTH, size - tile * WIDTH)
    entry = entries_of(log.read(path("entries", tile, width)), width)[place % WIDTH]
    proof = Proof(place, tuple(inclusion_proof(place, size, reader(log.read, size))), log.note)
    return entry, proof


def _place(log: LogFolder, size: int, service: str, number: int) -> int | None:
    sign = b'"n":%d,"prev":"' % number
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        raw = log.read(path("entries", start // WIDTH, width))
        if sign in raw:
            for place, entry in enumerate(entries_of(raw, width), start):
                if sign in entry and _is(entry, service, number):
                    return place
    return None


def _is(entry: bytes, service: str, number: int) -> bool:
    try:
        content = outline(entry)
    except ValueError:
        return False
    return isinstance(content, Outline) and (content.service, content.number) == (service, number)
