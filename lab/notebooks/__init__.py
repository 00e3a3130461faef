"""The notebooks: how they are read, run, held to their committed outputs, and what their cells use.

`percent.py`, `normal.py`, `claims.py`, `changes.py` and `figure.py` are pure.  A kernel starts in `kernel.py` and meets
the running system through `attach.py`; `run_cells.py` runs all cells of one notebook.  Both run in `.notebooks`.
`systems.py` runs the system, or in its place the reader's copy of it, which the cells change through `own.py`.
"""
