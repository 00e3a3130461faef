"""The same attacks on the system of figure 1 and on the real one.

Read it in this order: `real.py`, `expected.py`; then `both.py`.
"""
