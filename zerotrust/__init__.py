"""The library every service here is built from: verify, decide, record, narrow, act."""

VERSION = "0.1.0"
"""The project's version, as in `pyproject.toml`, which is not among the measured folders that a launched party sees."""
