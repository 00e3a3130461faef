"""Guards a service with tokens that are bound to workloads: mutual TLS by a SPIFFE socket, and tokens of any issuer.

It is the same gate as that of every party here without one step, `revoked`: no registry sends it news, so it asks the
issuer on every call whether the token is still active (RFC 7662).  `SPIFFE_ENDPOINT_SOCKET` names the socket.
"""

import logging
import os
import re
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import uvloop
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.applications import Starlette

from zerotrust.app import refusing
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder
from zerotrust.checks import names_of
from zerotrust.context import current_principal
from zerotrust.decision import Denied, PolicyEngine, Reason
from zerotrust.gate import Gate
from zerotrust.hardening.in_flight import OF_A_PARTY
from zerotrust.hardening.pools import Connections, MCPConnections
from zerotrust.hardening.server import server
from zerotrust.identity import Principal, UnverifiedToken, actor_chain
from zerotrust.issuer.client import IssuerClient
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.exchange import Exchanger, TokenRequest
from zerotrust.issuer.introspection import Introspector
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.registry.snapshot import Directory
from zerotrust.routes import MutualTLS, Routes
from zerotrust.routing import RouteTable
from zerotrust.spiffe.svid import SPIFFE_ID
from zerotrust.spiffe.tls import server_context, use_svid
from zerotrust.spiffe.workload import Workload
from zerotrust.standalone.any_issuer import FRESHNESS, Claims, NoneKnown, check_issuer, listed, within_scopes
from zerotrust.token_validation import Confirmation, Expected, check_chain, signed_claims
from zerotrust.transport.egress import EgressClients, calling_with
from zerotrust.transport.logs import log_json_lines

log = logging.getLogger(__name__)

STEPS = listed(
    *("path", "peer", "turn", "workload", "credentials", "verify", "bind", "prove", "note", "listed", "protocol"),
    *("decide_early", "limits", "body", "decide", "introspect", "record", "count"),
)
"""The steps of this gate.  It lacks `revoked`, which needs the registry's news."""
_ORIGIN = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:(?!443$)[1-9][0-9]{0,4})?")


class _BoundClaims(Claims):
    cnf: Confirmation | None = None
    zt_cnf: Confirmation | None = None


@dataclass(frozen=True, slots=True)
class Callee:
    """A service that is called with exchanged tokens."""

    at: str
    """Its origin, `https://name:port`.  Its certificate has this name."""
    spiffe_id: str


class BoundService:
    """One service: who may call it, whom it calls, and the issuer of all tokens."""

    def __init__(  # noqa: PLR0913 - what it needs, by name
        self,
        *,
        issuer: str,
        audience: str,
        address: str,
        callers: Mapping[str, str | None],
        calls: Mapping[str, Callee] | None = None,
        chain_claim: Literal["act", "zt_act"] | None = None,
        engine: PolicyEngine | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """Raise `ValueError`, which names all that is wrong.

        `audience`: this service's client at the issuer, by which tokens name it; `address`: its origin, as its callers
        name it in proofs.  `callers`: the clients whose tokens are taken, each with the SPIFFE ID of its workload, or
        None for one without a certificate, whose tokens are bound to a key.  `calls`: the services that it calls, by
        audience.  `chain_claim`: the claim in which the issuer writes the chain of agents that act for a user (RFC 8693
        section 4.1); without it, none may.  `engine`, `http`: as for `guard`.
        """
        callees = calls or {}
        workloads = {client: spiffe_id for client, spiffe_id in callers.items() if spiffe_id is not None}
        wrong = check_issuer(issuer, audience)
        for spiffe_id in {*workloads.values(), *(callee.spiffe_id for callee in callees.values())}:
            if not SPIFFE_ID.fullmatch(spiffe_id):
                wrong.append(f"{spiffe_id!r}: a SPIFFE ID is spiffe://trust-domain/path")
        if len({*workloads.values()}) < len(workloads):  # control: one-client-of-a-workload
            wrong.append("callers: two clients have one SPIFFE ID, and so the tokens of each would be the other's")
        # control: no-client-named-as-another
        if named := [name for name in callers if name in workloads.values() and workloads.get(name) != name]:
            wrong.append(f"callers: the client {named[0]!r} is named as the workload of another client")
        for origin in {address, *(callee.at for callee in callees.values())}:
            if not _ORIGIN.fullmatch(origin):
                wrong.append(f"{origin!r}: write scheme and name, and a port unless it is 443: https://name:8443")
        # control: one-service-at-a-name
        if len({urlsplit(callee.at).hostname for callee in callees.values()}) < len(callees):
            wrong.append("calls: two services have one name, and so each would get the tokens for the other")
        if wrong:
            raise ValueError("\n".join(wrong))
        self._address, self._workloads, self._engine = address, workloads, within_scopes(engine)
        self._chain_claim = chain_claim
        self._addresses = {audience: callee.at for audience, callee in callees.items()}
        self._directory = Directory(
            names={callee.at: httpx.URL(callee.at).host for callee in callees.values()},
            parties={httpx.URL(callee.at).host: callee.spiffe_id for callee in callees.values()},
        )
        self._callers, self._http = frozenset(callers), http
        self._expected = Expected(
            issuer=issuer,
            audience=audience,
            without_certificate=frozenset(callers.keys() - workloads.keys()),
            peers={spiffe_id: client for client, spiffe_id in workloads.items()},
        )

    def verify(self, token: UnverifiedToken, *, key: RSAPublicKey, expected: Expected, now: float) -> Principal:
        """Return the principal of a token, whose party is the workload that it was issued to.  Raises `Denied`."""
        claims = signed_claims(token, key, _BoundClaims)
        caller = claims.check(token, expected, now)
        if caller.client not in self._callers:  # control: bound-known-caller
            raise Denied(Reason.UNKNOWN_PARTY, caller.client)
        party = self._workloads.get(caller.client, caller.client)
        try:
            actors = tuple(self._workloads.get(actor, actor) for actor in actor_chain(claims.chain(self._chain_claim)))
        except ValueError as error:
            raise Denied(Reason.BAD_CLAIM, str(error)) from error
        if actors:
            check_chain(actors, {party})  # control: bound-chain-checked
        bound = claims.cnf or claims.zt_cnf
        return replace(caller, party=party, actors=actors, key_thumbprint=bound.jkt if bound else None)

    @asynccontextmanager
    async def calling(self, audience: str, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
        """Run the block with a client that calls as the current caller's agent (RFC 8693), with these scopes only.

        Its requests go to the service of this audience, and to no other.  Raises `Denied`.
        """
        if audience not in self._addresses:
            raise Denied(Reason.WOULD_WIDEN, f"{audience} is not in calls")
        wanted = TokenRequest(audience, frozenset(scopes))
        with calling_with(await self._exchanger.exchange(current_principal(), wanted)):
            yield self._egress.http

    def run(
        self, app: Starlette, routes: Routes, *, host: str, port: int, journal: Path = Path("journal.jsonl")
    ) -> None:
        """Serve the app until it is stopped; `routes` and `journal` are as for `guard`.

        Raises `ValueError` for a wrong table, and `JournalError`.
        """

        async def serve() -> None:
            async with self.guarding(app, routes, journal) as (gate, context):
                await server(gate, host=host, port=port, tls=context).serve()

        log_json_lines()
        # It ends as the first process of a container, too, and writes its last records before.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        uvloop.run(serve())

    @asynccontextmanager
    async def guarding(
        self, app: Starlette, routes: Routes, journal: Path
    ) -> AsyncIterator[tuple[Gate, ssl.SSLContext]]:
        """Run the block with the gate around the app, and the TLS context to serve it with."""
        expected, workload, revocations = self._expected, Workload(), NoneKnown()
        named = {name for row in routes.values() if isinstance(row, MutualTLS) for name in row.names}
        if unknown := named - self._workloads.keys():
            raise ValueError(f"{', '.join(sorted(unknown))}: not among the callers with a SPIFFE ID")
        table, recorder = RouteTable(routes, app), Recorder(Journal(journal), expected.audience)
        app.add_exception_handler(Denied, refusing(recorder))
        limits = httpx.Limits(max_connections=OF_A_PARTY * (len(self._callers) + 1))  # no caller takes another's
        http = self._http or httpx.AsyncClient(timeout=10, limits=limits)
        log.warning(
            "Waiting for an identity: %s", os.environ.get("SPIFFE_ENDPOINT_SOCKET", "set SPIFFE_ENDPOINT_SOCKET")
        )
        async with workload.running():
            context = server_context(workload.svid, certificate_needed=not expected.without_certificate)
            calls = Connections(self._directory, workload.svid)
            mcp_calls = MCPConnections(self._directory, workload.svid)
            for renew in calls.renew, mcp_calls.renew, partial(use_svid, context):
                workload.on_renewal(renew)
            issuer = IssuerClient(Discovery(expected.issuer, http=http), workload, http)
            self._exchanger = Exchanger(
                issuer=issuer,
                chain_claim=self._chain_claim,
                revocations=revocations,
                record=recorder.write,
            )
            self._egress = EgressClients(
                self._addresses, revocations=revocations, transport=calls, mcp_transport=mcp_calls
            )
            gate = Gate(
                app=app,
                routes=table,
                expected=expected,
                keys=SigningKeys(issuer.realm, http=http, freshness=FRESHNESS, clock=time.monotonic),
                policy=self._engine,
                revocations=revocations,
                confirm=Introspector(issuer, None),
                recorder=recorder,
                address=self._address,
                clock=time.time,
                verifier=self.verify,
                steps=STEPS,
            )
            callers = ", ".join([*expected.peers, *expected.without_certificate])
            what = "Rung 2, bound to workloads: tokens of %s for %s are taken from %s.  Steps: %s."
            log.warning(what, expected.issuer, expected.audience, callers, names_of(STEPS))
            try:
                yield gate, context
            finally:
                await self._egress.close()
                if http is not self._http:
                    await http.aclose()
                recorder.close()
