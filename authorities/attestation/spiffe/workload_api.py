"""The SPIFFE Workload API (sections 4 to 6), as far as it issues SVIDs: to attested processes only.

JWT-SVIDs are for Keycloak, which reads their keys at the bundle endpoint (`bundle.py`); so no process is sent keys of
JWT-SVIDs, and none asks whether one is valid.

The protobuf module is that of the `spiffe` package, which is pinned to one version: a second module of the same
protocol could not be loaded beside it.  A method that is not in the mapping is answered with UNIMPLEMENTED.
"""

import asyncio
import datetime as dt
import socket
import time
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream
from spiffe._proto import workload_pb2 as pb

from authorities.attestation.process.peers import pid_of_peer
from authorities.attestation.spiffe.svid_issuer import Issuer
from authorities.attestation.verifier.drift import Drift, Log
from authorities.attestation.verifier.target import Target
from zerotrust.authority.budget import Budget
from zerotrust.registry.model import Registry

Request = TypeVar("Request")

SECONDS_FOR_A_REQUEST = 5
"""Seconds until the message of a request, of less than 1 KiB, has to be whole."""
REFUSALS_AT_ONCE, REFUSALS_PER_SECOND = 64, 1
"""Refusals that are logged: the log is bounded, and one caller must not push the refusals of others out of it."""


class NotAttestedError(Exception):
    """A process gets no identity; the text says why."""


class Processes(Protocol):
    """The attested processes."""

    async def caller(self, connection: socket.socket) -> Target:
        """Return the process that opened this Unix connection.  Raises `NotAttestedError`."""


class WorkloadApi:
    """The service `SpiffeWorkloadAPI`, for grpclib's server."""

    def __init__(  # noqa: PLR0913 - its dependencies
        self, registry: Registry, processes: Processes, drift: Drift, issuer: Issuer, log: Log, *, log_at: str = ""
    ) -> None:
        """`log_at`: where `log` can be read, such as a command.  A refused caller learns that, and no reason."""
        self._log_at = f": {log_at} says why" if log_at else ""
        self._registry, self._processes, self._drift, self._issuer, self._log = registry, processes, drift, issuer, log
        self._connections: set[asyncio.Transport] = set()
        self._refusals, self._not_logged = Budget(REFUSALS_AT_ONCE, REFUSALS_PER_SECOND), 0

    def __mapping__(self) -> Mapping[str, Handler]:
        x509, jwt = self._fetch_x509_svid, self._fetch_jwt_svid
        return {
            "/SpiffeWorkloadAPI/FetchX509SVID": Handler(
                x509, Cardinality.UNARY_STREAM, pb.X509SVIDRequest, pb.X509SVIDResponse
            ),
            "/SpiffeWorkloadAPI/FetchJWTSVID": Handler(
                jwt, Cardinality.UNARY_UNARY, pb.JWTSVIDRequest, pb.JWTSVIDResponse
            ),
        }

    def close(self) -> None:
        """Close the connections, which grpclib leaves open when its server is closed."""
        for connection in self._connections:
            connection.abort()

    async def _fetch_x509_svid(self, stream: Stream[pb.X509SVIDRequest, pb.X509SVIDResponse]) -> None:
        await self._request(stream)
        life = self._registry.freshness.x509_svid
        while True:
            target = await self._measure_caller(stream)
            spiffe_id, names = target.party_id, self._registry.dns_names(target.party)
            key, chain = self._issuer.x509_svid(spiffe_id, *names, now=dt.datetime.now(dt.UTC), life=life)
            svid = pb.X509SVID(spiffe_id=spiffe_id, x509_svid=chain, x509_svid_key=key, bundle=self._issuer.ca_der)
            await stream.send_message(pb.X509SVIDResponse(svids=[svid]))
            await self._drift.wait_until_drifted(target, life / 2)

    async def _fetch_jwt_svid(self, stream: Stream[pb.JWTSVIDRequest, pb.JWTSVIDResponse]) -> None:
        request = await self._request(stream)
        if not request.audience or not all(request.audience):
            raise GRPCError(Status.INVALID_ARGUMENT, "audience must be specified")
        life = self._registry.freshness.svid
        # A caller that renews its certificate at half of its life is measured then, and needs no other look.
        spiffe_id = (await self._measure_caller(stream, within=self._registry.freshness.x509_svid * 3 / 4)).party_id
        if request.spiffe_id not in ("", spiffe_id):  # control: jwt-svid-for-own-id
            raise self._no_identity("asked for another identity", party=spiffe_id)
        token = self._issuer.jwt_svid(spiffe_id, request.audience, now=int(time.time()), life=life)
        await stream.send_message(pb.JWTSVIDResponse(svids=[pb.JWTSVID(spiffe_id=spiffe_id, svid=token)]))

    async def _request(self, stream: Stream[Request, Any]) -> Request:
        connection = stream.peer._transport
        self._connections = {connection, *(known for known in self._connections if not known.is_closing())}
        # An attacker that makes another process send a request cannot add this (SPIFFE Workload Endpoint section 3).
        if stream.metadata is None or stream.metadata.get("workload.spiffe.io") != "true":
            raise GRPCError(Status.INVALID_ARGUMENT, "security header missing from request")
        try:
            async with asyncio.timeout(SECONDS_FOR_A_REQUEST):
                request = await stream.recv_message()
        except TimeoutError:
            raise GRPCError(Status.DEADLINE_EXCEEDED, f"no whole request in {SECONDS_FOR_A_REQUEST} s") from None
        if request is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "request missing")
        return request

    async def _measure_caller(self, stream: Stream[Any, Any], within: float = 0) -> Target:
        """Return the caller as `_attest_caller` does, after a look at every file that it could load.

        A look within the last `within` seconds is enough.
        """
        target = await self._caller(stream)
        if self._drift.seconds_since_look(target) >= within:
            await self._drift.measure(target)
        return await self._attest_caller(stream)

    async def _attest_caller(self, stream: Stream[Any, Any]) -> Target:
        """Return the caller: an attested process, whose code is as approved."""
        target = await self._caller(stream)
        if files := self._drift.check(target):  # control: code-unchanged-since-launch
            raise self._no_identity(f"changed: {files}", party=target.party_id, pid=target.pid)
        return target

    async def _caller(self, stream: Stream[Any, Any]) -> Target:
        # Not by its pid, which may be reused by now, nor by its command line, which it can write itself.
        connection = stream.peer._transport.get_extra_info("socket")
        try:
            return await self._processes.caller(connection)
        except NotAttestedError as error:
            raise self._no_identity(str(error), pid=pid_of_peer(connection)) from error

    def _no_identity(self, why: str, **fields: object) -> GRPCError:
        if self._refusals.take(1):
            more = {"not_logged": self._not_logged} if self._not_logged else {}
            self._log("refused", why=why, **fields, **more)
            self._not_logged = 0
        else:
            self._not_logged += 1
        return GRPCError(Status.PERMISSION_DENIED, f"no identity issued{self._log_at}")
