"""A record and its proof in one file, as `zt audit proof --json` prints them: verified with nothing running."""

from pathlib import Path

from zerotrust.receipts.logged import MAX_EVIDENCE, Evidence, evidence_of
from zerotrust.tlog.proof import FORMAT
from zerotrust.tlog.tree import InvalidLog
from zt.evidence import EvidenceError, readable


def proof_in(source: Path) -> Evidence | None:
    """Return a record and its proof; None for a file that has something else.  Raises `EvidenceError`."""
    if not source.is_file():
        return None
    with readable(source), source.open("rb") as file:
        raw = file.read(MAX_EVIDENCE + 1)
    if raw.startswith(FORMAT.encode()):
        why = f"{source} has a proof without its record: `zt audit proof RECORD --json` prints both."
        raise EvidenceError(why, "no_record")
    try:
        return evidence_of(raw)
    except InvalidLog as error:
        raise EvidenceError(f"{source}: {error}.", "malformed_proof") from error
    except ValueError:
        return None
