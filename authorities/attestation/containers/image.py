"""Every file of a root file system, by path: of the image at its build, and of each container that runs from it.

The build of the images ends with `python -m authorities.attestation.containers.image FILE`, which pins the base that
all of them share.  With `FILE FOLDER` it pins a folder that one party has besides.  It runs as the parties' user, so it
finds what a party finds.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError, Stamp, measure_error

NOT_OF_IMAGE = frozenset(
    {"/proc", "/sys", "/dev", "/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}
)
"""The files that Docker puts over or beside the image's files in every container.  No code is loaded from there."""
MAX_FILES = 50_000
"""Files and folders of one root file system; ours has 15,000.  A container with more is not measured to its end."""
MAX_FILE = 256 * 1024 * 1024
"""Bytes; the largest of ours has 30 MB.  A larger file is not read."""
CLOSED, SPECIAL, LARGE = "closed", "special", "too large"
"""Instead of a digest: a file that this user, and so a party, cannot read; a special file; a file that is too large."""


class ImageFiles:
    """The files of root file systems.  A file in a layer that several containers share is read once for all."""

    def __init__(self) -> None:
        self._digests: dict[tuple[str, Stamp], str] = {}

    def look(self, root: str, folder: str = "", *, leave_out: Collection[str] = NOT_OF_IMAGE) -> dict[str, str]:
        """Return each file of `root`, below `folder`: by its path in that root, what `look_at` returns for it.

        Links are not followed, because in another root they lead elsewhere.  Raises `MeasureError`.
        """
        if folder and os.path.islink(f"{root}{folder}"):
            raise MeasureError(f"{folder} is a link")
        found: dict[str, str] = {}
        waiting, seen = [folder], 0
        while waiting:
            folder = waiting.pop()
            try:
                entries = _entries(f"{root}{folder}/")
            except PermissionError:
                found[f"{folder}/"] = CLOSED
                continue
            except OSError as error:
                raise measure_error(error, folder) from error
            if (seen := seen + len(entries)) > MAX_FILES:
                raise MeasureError(f"more than {MAX_FILES} files and folders")
            for name, status in entries:
                path = f"{folder}/{name}"
                if path in leave_out:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
                elif (what := self.look_at(root, path, status)) is not None:
                    found[path] = what
        return found

    def look_at(self, root: str, path: str, status: os.stat_result | None = None) -> str | None:
        """Return a file's SHA-256 in hex, or a link's target, or why neither; None for a folder or a missing file.

        `status`: what lstat(2) has said of it just now, if that is known.

        Raises `MeasureError`.
        """
        try:
            status = status or os.lstat(f"{root}{path}")
            if stat.S_ISLNK(status.st_mode):
                return f"-> {os.readlink(f'{root}{path}')}"
            if stat.S_ISREG(status.st_mode):
                return LARGE if status.st_size > MAX_FILE else self._digest(root, path, status)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise measure_error(error, path) from error
        return None if stat.S_ISDIR(status.st_mode) else SPECIAL

    def _digest(self, root: str, path: str, status: os.stat_result) -> str:
        # The layers of all images lie in one file system: there, an inode with this size and ctime is this file.
        key = path, Stamp(status.st_ino, status.st_size, status.st_ctime_ns)
        if (digest := self._digests.get(key)) is None:
            try:
                digest = _read(f"{root}{path}")
            except PermissionError:
                return CLOSED
            if len(self._digests) >= MAX_FILES:  # those of images that were replaced since
                self._digests.clear()
            self._digests[key] = digest
        return digest


def _entries(folder: str) -> list[tuple[str, os.stat_result]]:
    """Return the entries of a folder, read relative to the open folder, because whole paths cost a third more."""
    found = []
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(opened) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # it was removed just now
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    finally:
        os.close(opened)
    return found


def _read(path: str) -> str:
    # Neither through a link nor blocked by a pipe that has just replaced the file.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_pin(file: Path) -> dict[str, str]:
    """Return what was pinned.  Raises `OSError` or `ValueError`."""
    return dict(json.loads(file.read_bytes()))


def pin(file: Path, folder: str = "") -> int:
    """Write the files of this root, below `folder`, to `file`, which is left out, and return how many there are.

    Raises `MeasureError`.
    """
    found = ImageFiles().look("", folder, leave_out=NOT_OF_IMAGE | {"/data", "/tmp", str(file)})  # noqa: S108
    file.write_text(json.dumps(found, indent=0, sort_keys=True))
    return len(found)


if __name__ == "__main__":
    print(
        f"{pin(Path(sys.argv[1]), *sys.argv[2:])} files of {sys.argv[2] if sys.argv[2:] else 'the base image'} pinned"
    )
