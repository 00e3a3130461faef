"""The SPIFFE Workload API (sections 4 and 6): JWT-SVIDs for the processes we launched, and for nobody else.

Messages and their numbers are those of the `spiffe` package, pinned exactly: a second module of the same protocol
could not be loaded beside it. The X.509 methods come with their own issue; what is not in the mapping is answered
UNIMPLEMENTED.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import jwt
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream
from spiffe._proto import workload_pb2 as pb

from authorities.attestation.issuer import Issuer
from authorities.attestation.launch import Launched, Launcher, Log

Request = TypeVar("Request")


class WorkloadApi:
    """The service `SpiffeWorkloadAPI`, for grpclib's server."""

    def __init__(self, launcher: Launcher, issuer: Issuer, *, life: int, log: Log) -> None:
        """`life` of a JWT-SVID is in seconds."""
        self._launcher, self._issuer, self._life, self._log = launcher, issuer, life, log
        self._connections: set[asyncio.Transport] = set()

    def __mapping__(self) -> Mapping[str, Handler]:
        one, many = Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM
        service = "/SpiffeWorkloadAPI"
        fetch, bundles, validate = self._fetch_jwt_svid, self._fetch_jwt_bundles, self._validate_jwt_svid
        return {
            f"{service}/FetchJWTSVID": Handler(fetch, one, pb.JWTSVIDRequest, pb.JWTSVIDResponse),
            f"{service}/FetchJWTBundles": Handler(bundles, many, pb.JWTBundlesRequest, pb.JWTBundlesResponse),
            f"{service}/ValidateJWTSVID": Handler(validate, one, pb.ValidateJWTSVIDRequest, pb.ValidateJWTSVIDResponse),
        }

    def close(self) -> None:
        """Cut the connections, which grpclib leaves open when its server is closed."""
        for connection in self._connections:
            connection.abort()

    async def _fetch_jwt_svid(self, stream: Stream[pb.JWTSVIDRequest, pb.JWTSVIDResponse]) -> None:
        request = await self._request(stream)
        if not request.audience or not all(request.audience):
            raise GRPCError(Status.INVALID_ARGUMENT, "audience must be specified")
        spiffe_id = self._attested(stream).launch.party_id
        if request.spiffe_id not in ("", spiffe_id):
            raise self._no_identity("asked for another identity", party=spiffe_id)
        token = self._issuer.jwt_svid(spiffe_id, request.audience, now=int(time.time()), life=self._life)
        await stream.send_message(pb.JWTSVIDResponse(svids=[pb.JWTSVID(spiffe_id=spiffe_id, svid=token)]))

    async def _fetch_jwt_bundles(self, stream: Stream[pb.JWTBundlesRequest, pb.JWTBundlesResponse]) -> None:
        await self._request(stream)
        self._attested(stream)
        bundles = {self._issuer.trust_domain_id: self._issuer.bundle()}
        await stream.send_message(pb.JWTBundlesResponse(bundles=bundles))
        # The key never changes, but to a client the end of this stream would be an error.
        await asyncio.Event().wait()

    async def _validate_jwt_svid(self, stream: Stream[pb.ValidateJWTSVIDRequest, pb.ValidateJWTSVIDResponse]) -> None:
        request = await self._request(stream)
        if not request.audience or not request.svid:
            raise GRPCError(Status.INVALID_ARGUMENT, "audience and svid must be specified")
        self._attested(stream)
        try:
            claims = self._issuer.validate(request.svid, request.audience)
        except jwt.InvalidTokenError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
        answer = pb.ValidateJWTSVIDResponse(spiffe_id=claims["sub"])
        answer.claims.update(claims)
        await stream.send_message(answer)

    async def _request(self, stream: Stream[Request, Any]) -> Request:
        connection = stream.peer._transport
        self._connections = {connection, *(known for known in self._connections if not known.is_closing())}
        # Who can only make another process send a request here cannot add this (SPIFFE Workload Endpoint section 3).
        if stream.metadata is None or stream.metadata.get("workload.spiffe.io") != "true":
            raise GRPCError(Status.INVALID_ARGUMENT, "security header missing from request")
        request = await stream.recv_message()
        if request is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "request missing")
        return request

    def _attested(self, stream: Stream[Any, Any]) -> Launched:
        """Return the caller: a process we launched, whose code is still what it was then."""
        # Not its pid, which may be another's by now, nor its command line, which it writes itself.
        connection = stream.peer._transport.get_extra_info("socket")
        launched = self._launcher.who(connection)
        if launched is None:
            raise self._no_identity("not launched by this authority")
        if drift := launched.stage.drift():
            raise self._no_identity(drift, party=launched.launch.party_id, pid=launched.process.pid)
        return launched

    def _no_identity(self, why: str, **fields: object) -> GRPCError:
        self._log("refused", why=why, **fields)
        return GRPCError(Status.PERMISSION_DENIED, "no identity issued")
