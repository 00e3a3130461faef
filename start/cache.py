"""Keeps fetched files for all clones: complete or absent in the user's cache (`XDG_CACHE_HOME`, else `~/.cache`).

All functions block.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authorities.attestation.verifier.measure import BYTECODE_CACHES, MeasureError, digest_of, measure_files
from start.errors import KeycloakError

SPACE = 400
"""Megabytes that the largest of what is fetched takes while it is unpacked."""


def cache_folder() -> Path:
    """Return where this project keeps what it fetched, shared by all its clones."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero-trust-agents"


def holds(place: Path, folders: tuple[str, ...], digest: str) -> bool:
    """Whether `folders` of `place` hold the very files of that digest (`digest_of`), and nothing besides.

    Reads all of it: 180 MB of Keycloak take a quarter of a second of one core.
    """
    try:
        # control: runtime-as-pinned
        return digest_of(measure_files(place, folders, leave_out=BYTECODE_CACHES)) == digest
    except MeasureError:
        return False


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path that is renamed to `target` at the end: an interrupted run leaves no incomplete `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unfinished-") as folder:
        unfinished = Path(folder) / target.name
        yield unfinished
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():  # another run of ours was quicker
                raise


def check_cache() -> None:
    """Raise `KeycloakError` where the cache has no room for what would be fetched."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, SPACE)


def check_space(folder: Path, megabytes: int) -> None:
    """Raise `KeycloakError` where a folder's disk has no room for so much."""
    free = shutil.disk_usage(folder).free >> 20
    if free < megabytes:
        raise KeycloakError(f"{folder} has {free} MB of free space and {megabytes} MB are needed: make room there.")


def run(command: list[str]) -> None:
    """Run to the end.  Raises `KeycloakError` with the last thing the command said.

    Not in the user's working folder: Maven and uv would take configuration, Maven even extensions, from there.
    """
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=3600, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise KeycloakError(f"`{' '.join(command[:3])}` failed: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"]
        raise KeycloakError(f"`{' '.join(command[:3])}` failed: {said[-1]}")
