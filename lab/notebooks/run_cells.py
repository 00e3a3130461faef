"""Runs all cells of one notebook, from standard input to standard output.  In `.notebooks`, started by `execute.py`."""

import sys
from pathlib import Path

import nbclient
import nbformat
from traitlets.config import Config

SECONDS = 600
"""For one cell: some start a system, which has a shorter limit for each of its steps."""


def main() -> None:
    """Run the cells; the first one that fails ends it, with its traceback."""
    notebook = nbformat.read(sys.stdin, as_version=4)
    connection = {"transport": "ipc", "connection_file": str(Path.cwd() / "kernel.json")}  # as in `jupyter.py`
    settings = Config(KernelManager=connection)
    nbclient.NotebookClient(notebook, config=settings, timeout=SECONDS, record_timing=False).execute()
    nbformat.write(notebook, sys.stdout)


if __name__ == "__main__":
    main()
