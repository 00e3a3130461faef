"""A policy decision point: the API of the policy authority behind its gate, in process or at a port of this machine."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from cryptography.hazmat.primitives import serialization
from fastapi import FastAPI
from starlette.types import ASGIApp

from authorities.policy.app import create_app
from authorities.policy.authzen import BadRequest, parse_body
from authorities.policy.authzen_api import EVALUATION, DecisionPoint, evaluation, evaluations
from authorities.policy.authzen_routes import ROUTES, add_authzen_routes
from authorities.policy.pdp import ServicePoint
from authorities.policy.versions import Versions, content_of
from authzen import client as authzen
from authzen.client import AuthZEN
from testkit.wire import Wire, lifespan
from tests.support.ca import FOREVER, the_ca
from tests.support.issuer import Issuer
from tests.support.policies import versions_in
from tests.support.system import POLICIES, POLICY, System
from tests.support.waiting import serving
from zerotrust.hardening.server import server
from zerotrust.hardening.turns import Turns
from zerotrust.registry.model import Registry
from zerotrust.routes import Public
from zerotrust.runtime import policy_of
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer
from zerotrust.spiffe.tls import server_context

PDP, PEP = "authority/policy", "tool/documents"
"""Whose certificate the decision point has, and that of who asks it."""


def point(registry: Registry) -> ServicePoint:
    """The committed policies."""
    engine = policy_of(POLICY, registry)
    return ServicePoint(engine, engine.version)


def answered(point: DecisionPoint, path: str, body: bytes, content_type: str = "application/json") -> Any:
    """What the API answers, without HTTP: an object, or the text of an error."""
    try:
        fields = parse_body(content_type, body)
        answering = evaluation(point, fields) if path == EVALUATION else evaluations(point, fields, Turns().wait)
        return asyncio.run(answering)
    except BadRequest as error:
        return str(error)


def guarded_point(service: Service, decides: Callable[[], DecisionPoint]) -> ASGIApp:
    """The API behind a gate."""
    app = service.app()
    add_authzen_routes(app, decides, service.registry.address(service.name))
    return service.guard(app, {("GET", "/health"): Public(), **ROUTES})


def engine(registry: Registry, party: str = PEP) -> AuthZEN:
    """A policy engine that asks the API, which decides by the committed policies, as this party."""
    app, decides, address = FastAPI(), point(registry), registry.address(PDP)
    add_authzen_routes(app, lambda: decides, address)
    return AuthZEN(httpx.AsyncClient(transport=Wire({address: app}, Peer(registry.id(party), FOREVER))), address)


@asynccontextmanager
async def elsewhere(system: System) -> AsyncIterator[None]:
    """Let the services of a system that are composed from now on ask the policy authority, for policies in process."""
    async with authority(system):
        yield


@asynccontextmanager
async def authority(system: System) -> AsyncIterator[Versions]:
    """The policy authority in a system whose services ask it; no registry answers it."""
    service, address = system.service(PDP), system.registry.address(PDP)
    versions = versions_in(service.data / "versions", content_of(POLICIES))
    apps = {address: create_app(service, versions, lambda _call: None)}
    system.policy = lambda name: AuthZEN(
        httpx.AsyncClient(transport=Wire(apps, Peer(system.registry.id(name), FOREVER))), address
    )
    with patch.object(authzen, "SECONDS", 60):  # all parties share this process, which may be slow
        async with lifespan(apps[address]):
            yield versions


@asynccontextmanager
async def listening(folder: Path, registry: Registry, decides: Callable[[], DecisionPoint]) -> AsyncIterator[str]:
    """The API behind gate and mutual TLS, at the address that is yielded; any client finds `localhost` in its name."""
    service = System(folder, registry, Issuer(registry), Service, time.time).service(PDP)
    app = guarded_point(service, decides)
    tls = server_context(the_ca().svid(PDP, dns="localhost"), certificate_needed=True)
    with patch.object(authzen, "SECONDS", 60):  # as in `authority`
        async with serving(server(app, host="127.0.0.1", port=0, tls=tls)) as port:
            yield f"https://localhost:{port}"


def certificate(party: str, folder: Path) -> tuple[Path, Path]:
    """A file with that party's key and certificate, and one with the authorities that it trusts, both in PEM."""
    svid, shown, trusted = the_ca().svid(party), folder / f"{party.replace('/', '-')}.pem", folder / "trusted.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key = svid.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    shown.write_bytes(key + svid.certificate.public_bytes(encoding))
    trusted.write_text(the_ca().pem)
    return shown, trusted


def client(address: str, folder: Path, party: str = PEP) -> httpx.AsyncClient:
    """Any HTTP client, with that party's certificate."""
    shown, trusted = certificate(party, folder)
    context = ssl.create_default_context(cafile=trusted)
    context.load_cert_chain(shown)
    return httpx.AsyncClient(base_url=address, verify=context, trust_env=False, timeout=60)
