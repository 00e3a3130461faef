"""The approved digests of code: `make register` writes them, and attestation compares each launch with them."""

from pathlib import Path

from authorities.attestation.verifier.measure import digest_of
from registration.closure import files_of
from zerotrust.authority.files.lock import Lock
from zerotrust.registry.model import Approved, Registry


def approve_all(registry: Registry, root: Path) -> Lock:
    """Return a lock that approves the code of every party, as it is in the project now.  Raises `MeasureError`."""
    lock = Lock(files={}, parties={})
    for name, folder in registry.measured.items():
        lock = approve(lock, root, name, folder)
    return lock


def approve(lock: Lock, root: Path, name: str, folder: str) -> Lock:
    """Return a lock that also approves what is in `folder` of `root`, and what that imports, as the code of `name`.

    Raises `MeasureError`.
    """
    files = files_of(root, folder)
    entry = lock.parties.get(name, Approved()).model_copy(update={"code": digest_of(files)})
    more = {"files": lock.files | files, "runs": lock.runs | {name: sorted(files)}}
    return lock.model_copy(update={**more, "parties": {**lock.parties, name: entry}})
