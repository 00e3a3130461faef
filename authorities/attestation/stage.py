"""A stage: a private copy of the folders a party is measured by, and all that it sees of this project.

Were the project's root on its path instead, any folder planted there could be what some library imports when it is
present. And what a party imports late comes from the copy as well, not from files that have changed since.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from authorities.attestation.measure import BYTECODE_CACHES, MeasureError, measure

_MAIN = """\
import ctypes, os, runpy, signal

# The kernel kills this process when the authority ends, however that ends (PR_SET_PDEATHSIG is 1).
# If the authority has ended already, nobody will: hence the second look.
if ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL)) or os.getppid() != {parent}:
    os._exit(1)
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """`digest` is over the party's code, and what a registry can know; `everything` is over all that lies here."""

    path: Path
    root: Path
    code: tuple[str, ...]
    digest: str
    everything: str

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
            module = code[0].replace("/", ".") + ".main"
            (path / "__main__.py").write_text(_MAIN.format(parent=os.getpid(), module=module))
            return cls(path, root, tuple(code), measure(path, code), measure(parent, [path.name]))
        except (OSError, MeasureError) as error:
            shutil.rmtree(path, ignore_errors=True)
            raise MeasureError(str(error)) from error

    def drift(self) -> str | None:
        """Measure again, the project's folders and the copy; return what has changed, or None."""
        try:
            # Bytecode caches do not count there, for they were not copied; here nobody writes any.
            if measure(self.root, self.code, leave_out=BYTECODE_CACHES) != self.digest:
                return "the code on disk is not what was launched"
            if measure(self.path.parent, [self.path.name]) != self.everything:
                return "the private copy of the code was changed"
        except MeasureError as error:
            return str(error)
        return None

    def remove(self) -> None:
        """Delete the copy, as far as that is possible."""
        shutil.rmtree(self.path, ignore_errors=True)
