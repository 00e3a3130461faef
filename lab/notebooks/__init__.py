"""The notebooks: how they are read, run, held to their committed outputs, and what their cells use.

`percent.py`, `normal.py`, `claims.py` and `figure.py` are pure.  A kernel starts in `kernel.py` and meets the running
system through `attach.py`; `run_cells.py` runs all cells of one notebook.  Both run in `.notebooks`.
"""
