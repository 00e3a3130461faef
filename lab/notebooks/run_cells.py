"""Runs all cells of one notebook, in the environment `.notebooks`; `execute.py` starts it.

Standard input is JSON: the notebook's `source` in jupytext's percent format, and its `metadata`.  Standard output is
the notebook with its outputs, as its file has to be.
"""

import json
import sys

import jupytext
import nbclient
import nbformat

SECONDS = 600
"""For one cell: some wait for several things, which have shorter limits."""


def main() -> None:
    """Run the cells; the first cell that fails ends it, with its traceback."""
    given = json.load(sys.stdin)
    notebook = jupytext.reads(given["source"], fmt="py:percent")
    notebook.metadata = nbformat.from_dict(given["metadata"])
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})  # the same source is the same notebook
    nbclient.NotebookClient(notebook, timeout=SECONDS, record_timing=False, coalesce_streams=True).execute()
    notebook.metadata = nbformat.from_dict(given["metadata"])  # without the version of Python that the kernel told
    nbformat.write(notebook, sys.stdout)


if __name__ == "__main__":
    main()
