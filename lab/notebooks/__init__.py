"""The notebooks: how they are run and compared with their committed outputs, and what their cells use.

`normal.py`, `claims.py` and `figure.py` are pure.  A kernel meets the running system through `attach.py`;
`run_cells.py` runs all cells of one notebook.  Both run in `.notebooks`.  Cells change the files of a copy of the
project (`own.py`), and what they change in the running system, `temporary.py` undoes.
"""
