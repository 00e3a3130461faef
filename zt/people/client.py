"""A person's HTTP client: it has no certificate, and connects only to parties that prove their identity."""

from pathlib import Path

import httpx

from zerotrust.hardening.pools import Connections
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.tls import user_context


def user_client(directory: Directory, ca_file: Path, *, seconds: float = 60) -> httpx.AsyncClient:
    """Return a client of the parties in `directory`; `ca_file` has the trust domain's authority (PEM).

    Raises `OSError` if that cannot be read.
    """
    authorities = ca_file.read_text()
    connections = Connections(directory, None, lambda _, parties: user_context(authorities, parties))
    return httpx.AsyncClient(transport=connections, timeout=seconds)
