"""The Workload API's server: no caller takes the descriptors, the memory or the time that others need.

A caller is examined only when its request is whole.  Before and after that, each caller has a share: a number of
connections, and bytes per second.  A container is one caller, however many processes it has.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from grpclib.protocol import H2Protocol
from grpclib.server import Server

from authorities.attestation.process.peers import pid_of_peer
from authorities.attestation.spiffe.workload_api import WorkloadApi
from zerotrust.authority.budget import Budget

MOST_CONNECTIONS = 32
"""Connections of one caller: a party has one for its SVIDs, and one for each JWT-SVID that it waits for."""
BYTES_AT_ONCE, BYTES_PER_SECOND = 64 * 1024, 64 * 1024
"""Bytes that one caller may send.  A request has about 500; 64 KiB of the smallest frames take a quarter of a second.
"""
COST_OF_CONNECTION = 256
MOST_CALLERS = 1024
"""Callers that are remembered; there are eight parties, and on one machine processes that have ended."""

Caller = tuple[str, int]


def process_caller(pid: int) -> Caller:
    """Return the caller on one machine: the process."""
    return "process", pid


def container_caller(pid: int) -> Caller:
    """Return the caller in a container: its process namespace, which all its processes share.

    All processes that hide theirs count as one caller: they get no identity in any case.
    """
    try:
        return "namespace", os.stat(f"/proc/{pid}/ns/pid").st_ino  # noqa: PTH116 - a link of the kernel's
    except OSError:
        return "hidden", 0


@dataclass
class _Share:
    connections: int = 0
    sent: Budget = field(default_factory=partial(Budget, BYTES_AT_ONCE, BYTES_PER_SECOND))


class BoundedServer(Server):
    """grpclib's server for a Unix socket, which closes the connections of a caller beyond its share."""

    def __init__(self, api: WorkloadApi, caller: Callable[[int], Caller]) -> None:
        """`caller` returns the caller of a process id: `process_caller` or `container_caller`."""
        super().__init__([api])
        self._caller, self._shares = caller, dict[Caller, _Share]()

    def _protocol_factory(self) -> "_Bounded":  # type: ignore[override]  # asyncio needs no more
        return _Bounded(super()._protocol_factory(), self._share)

    def _share(self, pid: int) -> _Share:
        if len(self._shares) >= MOST_CALLERS:
            self._shares = {caller: share for caller, share in self._shares.items() if share.connections}
        return self._shares.setdefault(self._caller(pid), _Share())


class _Bounded(asyncio.Protocol):
    def __init__(self, protocol: H2Protocol, share: Callable[[int], _Share]) -> None:
        self._protocol, self._share_of, self._served = protocol, share, False
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._share = self._share_of(pid_of_peer(transport.get_extra_info("socket")))
        if self._share.connections >= MOST_CONNECTIONS or not self._share.sent.take(COST_OF_CONNECTION):
            transport.abort()
            return
        self._served = True
        self._share.connections += 1
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._served and self._share.sent.take(len(data)):
            self._protocol.data_received(data)
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._served:
            self._share.connections -= 1
            self._protocol.connection_lost(error)
