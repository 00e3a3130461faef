"""A person's HTTP client: no certificate, and no word to anybody but the party that was meant."""

from pathlib import Path

import httpx

from zerotrust.connections import Directory
from zerotrust.tls import user_context


class _Named(httpx.AsyncHTTPTransport):
    """Takes each request to the party that is found at its address, known by name and SPIFFE ID."""

    def __init__(self, directory: Directory, authorities: str) -> None:
        super().__init__(verify=user_context(authorities, directory.parties), trust_env=False)
        self._names = directory.names

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = self._names.get(f"{request.url.scheme}://{request.url.host}:{request.url.port}")
        if name is None:
            raise httpx.ConnectError("nobody is known there", request=request)
        request.extensions = {**request.extensions, "sni_hostname": name}
        return await super().handle_async_request(request)


def user_client(directory: Directory, ca_file: Path, *, seconds: float = 60) -> httpx.AsyncClient:
    """A client of the parties in `directory`; `ca_file` holds the trust domain's authority (PEM).

    Raises `OSError` where that cannot be read.
    """
    return httpx.AsyncClient(transport=_Named(directory, ca_file.read_text()), timeout=seconds)
