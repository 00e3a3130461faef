"""A stage: a private copy of the folders a party is measured by, and all that it sees of this project.

Were the project's root on its path instead, any folder planted there could be what some library imports when it is
present. And what a party imports late comes from the copy as well, not from files that have changed since.

Nobody has anything to do here once it is made.  So a file that was touched is not held to its content, as elsewhere:
it could have been changed for as long as the party loads it, and put back.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from authorities.attestation.verifier.measure import BYTECODE_CACHES, MeasureError, Stamp, measure_files, stamps

_MAIN = """\
import ctypes, os, signal

# No other process of this user looks into this one's memory, or at its variables and open files: the kernel has seen
# to that since the first instruction (`interpreter.py`), and where it is set up otherwise (fs.suid_dumpable), this does
# (PR_SET_DUMPABLE is 4; ptrace(2)).
# The kernel kills this process when the authority ends, however that ends (PR_SET_PDEATHSIG is 1).
# If the authority has ended already, nobody will: hence the last look.
prctl = ctypes.CDLL(None).prctl
if prctl(4, 0) or prctl(1, ctypes.c_ulong(signal.SIGKILL)) or os.getppid() != {parent}:
    os._exit(1)

import runpy

runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """`code` is what a registry can know: SHA-256, in hex, by paths in the project.

    `everything` is how all that lies here was touched last, by full paths.
    """

    path: Path
    code: dict[str, str]
    everything: dict[str, Stamp]

    @classmethod
    def build(cls, root: Path, code: Sequence[str], *, parent: Path, prefix: str) -> Self:
        """Copy the folders `code` of `root` to a new folder in `parent`, which must be private; measure the copy.

        `python <path>` then runs module `main` of the first folder, as a child of this process and not longer.
        Raises `MeasureError`.
        """
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # mode 0700
        try:
            for folder in code:
                leave_out = shutil.ignore_patterns(*BYTECODE_CACHES)
                shutil.copytree(root / folder, path / folder, symlinks=True, ignore=leave_out)
            main, module = path / "__main__.py", code[0].replace("/", ".") + ".main"
            main.write_text(text := _MAIN.format(parent=os.getpid(), module=module))
            everything = stamps(path)
            _settle(everything)
            measured = measure_files(path, code)
            if everything.keys() != {str(path / name) for name in measured} | {str(main)} or main.read_text() != text:
                raise MeasureError(f"{path}: touched while it was being made")
            return cls(path, measured, everything)
        except (OSError, MeasureError) as error:
            shutil.rmtree(path, ignore_errors=True)
            raise MeasureError(str(error)) from error

    def remove(self) -> None:
        """Delete the copy, as far as that is possible."""
        shutil.rmtree(self.path, ignore_errors=True)


def _settle(files: Iterable[str]) -> None:
    """From now on, whoever writes to one of these files changes its stamp, also through a mapping (mmap(2)).

    The kernel tells the time in steps of 10 ms at most, and notes the first store to a page that is on the disk.
    """
    time.sleep(0.02)
    for name in files:
        file = os.open(name, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
