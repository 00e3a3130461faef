"""Runs all cells of one notebook, from standard input to standard output.  In `.notebooks`, started by `execute.py`."""

import sys

import nbclient
import nbformat

SECONDS = 600
"""For one cell: some start a system, which has a shorter limit for each of its steps."""


def main() -> None:
    """Run the cells; the first one that fails ends it, with its traceback."""
    notebook = nbformat.read(sys.stdin, as_version=4)
    nbclient.NotebookClient(notebook, timeout=SECONDS, record_timing=False).execute()
    nbformat.write(notebook, sys.stdout)


if __name__ == "__main__":
    main()
