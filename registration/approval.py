"""The approved digests of code: `make register` writes them, and attestation compares each launch with them."""

from collections.abc import Iterable
from pathlib import Path

from authorities.attestation.verifier.measure import BYTECODE_CACHES, digest_of, measure_files
from zerotrust.authority.files.lock import Lock
from zerotrust.registry.model import Approved, Registry


def approved_files(registry: Registry, root: Path) -> dict[str, str]:
    """Return every file that some party can run, as it is in the project now: SHA-256, in hex, by path.

    Raises `MeasureError`.
    """
    folders = {folder for name in registry.measured for folder in registry.parties[name].code}
    return measure_files(root, folders, leave_out=BYTECODE_CACHES)


def approve(lock: Lock, root: Path, name: str, folders: Iterable[str]) -> Lock:
    """Return a lock that also approves the files in `folders` of `root` as the code of `name`.

    For an authority that is composed to launch more than the registry has.  Raises `MeasureError`.
    """
    files = measure_files(root, folders, leave_out=BYTECODE_CACHES)
    known = lock.parties.get(name, Approved())
    entry = known.model_copy(update={"code": digest_of(files)})
    return lock.model_copy(update={"files": lock.files | files, "parties": {**lock.parties, name: entry}})
