"""Where the pin of the installed packages is, and what it leaves out.  It needs the standard library only."""

from authorities.attestation.verifier.measure import BYTECODE_CACHES

PIN = "environment.json"
NEXT_STEP = "`rm -r .venv`, then `make` installs it again"


def leave_out(folders: list[str]) -> frozenset[str]:
    """Return the folders of a pinned environment that are not measured, because nothing is loaded from them."""
    # The library's own site-packages are not on the path of a virtual environment.
    return BYTECODE_CACHES | {f"{folders[0]}/site-packages"}
