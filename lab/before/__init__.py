"""The systems that the series calls today's, attacked in the same way as the real one: `make before`.

Only `expected.py` knows what an attack should achieve.
"""
