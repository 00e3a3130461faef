"""The Workload API's server: no process takes the descriptors that attestation needs to examine others."""

import asyncio
import socket
import struct
from collections import Counter

from grpclib.protocol import H2Protocol
from grpclib.server import Server

from authorities.attestation.spiffe.workload_api import WorkloadApi

MOST_CONNECTIONS = 16
"""Connections of one process: a party has one for its SVIDs, and one for each JWT-SVID that it waits for."""


class BoundedServer(Server):
    """grpclib's server for a Unix socket, which closes what a process opens beyond `MOST_CONNECTIONS`."""

    def __init__(self, api: WorkloadApi) -> None:
        super().__init__([api])
        self._open = Counter[int]()

    def _protocol_factory(self) -> "_Counted":  # type: ignore[override]  # asyncio needs no more
        return _Counted(super()._protocol_factory(), self._open)


class _Counted(asyncio.Protocol):
    def __init__(self, protocol: H2Protocol, open_connections: Counter[int]) -> None:
        self._protocol, self._open, self._pid = protocol, open_connections, 0
        self.data_received = protocol.data_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        credentials = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self._pid = struct.unpack("3i", credentials)[0]
        self._open[self._pid] += 1
        self._protocol.connection_made(transport)
        if self._open[self._pid] > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._open[self._pid] -= 1
        if not self._open[self._pid]:
            del self._open[self._pid]
        self._protocol.connection_lost(error)
