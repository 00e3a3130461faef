"""Finds a record in the log, and its proof: what the command `zt audit proof` does."""

from collections.abc import Iterator

from zerotrust.audit.fault import named, record_of
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
    if isinstance(wanted, int):
        place = wanted
    elif (there := _place(log, size, *wanted)) is None:
        raise EvidenceError(_absent(log, size, *wanted), "no_such_leaf")
    else:
        place = there
    if not 0 <= place < size:
        why = f"The log in {log.folder} has no leaf {place}: it has the leaves 0 to {size - 1}."
        raise EvidenceError(why, "no_such_leaf")
    tile = place // WIDTH
    width = min(WIDTH, size - tile * WIDTH)
    entry = entries_of(log.read(path("entries", tile, width)), width)[place % WIDTH]
    proof = Proof(place, tuple(inclusion_proof(place, size, reader(log.read, size))), log.note)
    return entry, proof


def _place(log: LogFolder, size: int, service: str, number: int) -> int | None:
    sign = b'"n":%d,"prev":"' % number
    found = (place for place, entry in _entries(log, size, sign) if sign in entry and named(entry) == (service, number))
    return next(found, None)


def _entries(log: LogFolder, size: int, sign: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Yield place and content of each leaf, of those tiles that have the sign."""
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        raw = log.read(path("entries", start // WIDTH, width))
        if sign in raw:
            yield from enumerate(entries_of(raw, width), start)


def _absent(log: LogFolder, size: int, service: str, number: int) -> str:
    """Return which records of the service the log has instead."""
    found = (record_of(entry) for _, entry in _entries(log, size) if service.encode() in entry)
    numbers = [one.number for one in found if one and one.service == service]
    if not numbers:
        return f"The log in {log.folder} has no record of {service}: name a party as in registry.yaml (`zt status`)."
    return (
        f"The log in {log.folder} has no record {number} of {service}: it has {min(numbers)} to {max(numbers)}.  A new "
        "record comes into it within seconds."
    )
