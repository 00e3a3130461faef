"""The library every service here is built from: verify, decide, record, narrow, act."""

VERSION = "0.1.0"
"""The project's, as `pyproject.toml` has it: a launched party sees its measured folders alone, and no such file."""
