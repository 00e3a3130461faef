"""The folder of a JupyterLab, or of the kernel that executes a notebook: new each time, and removed at the end.

Jupyter and IPython run whatever lies in their folders (`startup`, `jupyter_server_config.py`), and a cell can write
there: so none of it outlives its run.  Kernels are reached by sockets in it, which other accounts cannot open.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.alone import DemoError, only_one, process_running

PREFIX = "zt-notebooks-"
LONGEST = 107
"""Bytes of a Unix socket's path, which unix(7) limits to 108 with the zero at its end."""
SOCKET = "/kernel-01234567-89ab-cdef-0123-456789abcdef-ipc-5"
"""What Jupyter calls a kernel's last socket."""


@contextmanager
def new_home() -> Iterator[Path]:
    """Have such a folder for a block.  Raises `DemoError` if sockets in it would have too long a path.

    It is among the temporary files, because the path of a clone can be too long.
    """
    _remove_those_left()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as made:  # a kernel may just be ending
        if (length := len(os.fsencode(made + SOCKET))) > LONGEST:
            raise DemoError(
                f"The sockets of kernels would have paths of {length} bytes in {tempfile.gettempdir()}, and {LONGEST} "
                "are possible: set TMPDIR to a folder with a shorter path."
            )
        with only_one(folder := Path(made)):
            yield folder


def _remove_those_left() -> None:
    """Remove the folders of this user's runs that were killed: no process holds their locks."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if left.lstat().st_uid == os.geteuid() and not left.is_symlink() and not process_running(left):
            shutil.rmtree(left, ignore_errors=True)
