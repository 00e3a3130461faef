"""Compares the installed packages with their pin, before any is imported: it needs the standard library only."""

import json
from pathlib import Path

from authorities.attestation.verifier.measure import BYTECODE_CACHES, Files, MeasuredFile, Stamp

PIN = "environment.json"
NEXT_STEP = "`rm -r .venv`, then `make` installs it again"


def changed_files(prefix: Path) -> list[str]:
    """Return the paths of the files of the environment in `prefix` that are not as they were pinned.

    Reads only files whose stamp has changed: an eighth of a second for 19,000 files.
    Raises `OSError`, `ValueError`, `LookupError` or `TypeError` if there is no pin, and `MeasureError`.
    """
    pin = json.loads((prefix / PIN).read_bytes())
    measured = {name: MeasuredFile(Stamp(*stamp), digest) for name, (*stamp, digest) in pin["files"].items()}
    files = Files(Path("/"), leave_out=leave_out(pin["folders"]), links=True, measured=measured)
    found = files.look(pin["folders"], pin["single"])
    pinned = {name: digest for name, (_, digest) in measured.items()}
    return sorted(name for name in found.keys() | pinned.keys() if found.get(name) != pinned.get(name))


def leave_out(folders: list[str]) -> frozenset[str]:
    """Return the folders of a pinned environment that are not measured, because nothing is loaded from them."""
    # The library's own site-packages are not on the path of a virtual environment.
    return BYTECODE_CACHES | {f"{folders[0]}/site-packages"}
