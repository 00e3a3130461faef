"""The notebooks: how they are read, run, held to their committed outputs, and what their cells use.

`percent.py`, `normal.py`, `claims.py`, `certificate.py`, `changes.py` and `figure.py` are pure.  A kernel starts in
`kernel.py` and meets the running system through `attach.py`; `run_cells.py` runs all cells of one notebook.  Both run
in `.notebooks`.  `systems.py` runs the system, or in its place the reader's copy of it, which the cells change through
`own.py`.  What they change in the running system, `temporary.py` undoes.
"""
