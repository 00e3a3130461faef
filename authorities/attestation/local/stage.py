"""A stage: a private copy of the measured files of a party, and all that the party sees of this project.

If the project's root were on its path instead, a library that imports an optional package could import a folder that
was planted there.  Late imports come from the copy as well, not from files that have changed since.

A stage never changes after it was made.  So a file with a new stamp is drift, even if its content is the same: it could
have been changed while the party loaded it, and restored.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from authorities.attestation.verifier.measure import BYTECODE_CACHES, MeasureError, Stamp, measure_files, stamps

_MAIN = """\
import ctypes, os, signal

# No other process of this user can read its memory, variables or open files.  The kernel ensures that from the
# first instruction (`closed.py`); if it is configured otherwise (fs.suid_dumpable), prctl does (PR_SET_DUMPABLE
# is 4; ptrace(2)).
# The kernel kills this process when the authority ends, however that ends (PR_SET_PDEATHSIG is 1).
# It does not if the authority has ended already, so the parent is checked last.
prctl = ctypes.CDLL(None).prctl
if prctl(4, 0) or prctl(1, ctypes.c_ulong(signal.SIGKILL)) or os.getppid() != {parent}:
    os._exit(1)

import runpy

runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """`code` has the measured files: SHA-256, in hex, by path in the project.

    `everything` has the stamp of every file of the stage, by full path.
    """

    path: Path
    code: dict[str, str]
    everything: dict[str, Stamp]

    @classmethod
    def build(cls, root: Path, folder: str, files: Iterable[str], *, parent: Path, prefix: str) -> Self:
        """Copy a folder of `root`, and `files` that lie outside of it, to a new folder in `parent`; measure the copy.

        `parent` must be private.  `python <path>` then runs module `main` of `folder`, as a child of this process, and
        ends with it.  Raises `MeasureError`.
        """
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # mode 0700
        try:
            leave_out = shutil.ignore_patterns(*BYTECODE_CACHES)
            shutil.copytree(root / folder, path / folder, symlinks=True, ignore=leave_out)
            outside = [file for file in files if not file.startswith(f"{folder}/")]
            for file in outside:
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / file, path / file, follow_symlinks=False)
            main, module = path / "__main__.py", folder.replace("/", ".") + ".main"
            main.write_text(text := _MAIN.format(parent=os.getpid(), module=module))
            everything = stamps(path)
            _settle(everything)
            measured = measure_files(path, [folder], outside)
            if everything.keys() != {str(path / name) for name in measured} | {str(main)} or main.read_text() != text:
                raise MeasureError(f"{path}: touched while it was being made")
            return cls(path, measured, everything)
        except (OSError, MeasureError) as error:
            shutil.rmtree(path, ignore_errors=True)
            raise MeasureError(str(error)) from error

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _settle(files: Iterable[str]) -> None:
    """Wait and sync, so that from now on every write to one of these files changes its stamp, even by mmap(2).

    The kernel's clock has steps of 10 ms at most, and it notes the first store to a synced page.
    """
    time.sleep(0.02)
    for name in files:
        file = os.open(name, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
