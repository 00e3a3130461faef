"""A person's HTTP client: no certificate, and no word to anybody but the party that was meant."""

from pathlib import Path

import httpx

from zerotrust.registry.directory import Directory
from zerotrust.spiffe.tls import user_context
from zerotrust.transport.pools import Connections


def user_client(directory: Directory, ca_file: Path, *, seconds: float = 60) -> httpx.AsyncClient:
    """A client of the parties in `directory`; `ca_file` holds the trust domain's authority (PEM).

    Raises `OSError` where that cannot be read.
    """
    authorities = ca_file.read_text()
    connections = Connections(directory, None, lambda _, parties: user_context(authorities, parties))
    return httpx.AsyncClient(transport=connections, timeout=seconds)
