"""What the walkthrough needs of a running system, on one machine or in containers."""

import ssl
from pathlib import Path
from typing import Protocol

import httpx

from zerotrust.audit.event import AuditEvent
from zerotrust.issuer.discovery import Metadata
from zerotrust.registry.directory import Directory
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import Svid
from zt.login import Login


class Running(Protocol):
    """A running system, as a person meets it who may also read its journals."""

    @property
    def registry(self) -> Registry:
        """Who takes part."""

    @property
    def ca_file(self) -> Path:
        """The certificate that all parties' certificates are of, and Keycloak's."""

    def address(self, name: str) -> str:
        """Return a party's origin, with its name in certificates."""

    def user(self) -> httpx.AsyncClient:
        """Return the HTTP client of a person, without a certificate."""

    async def sign_in(self, user: str, scope: str = ..., client: str = ...) -> Login:
        """Sign a user in at a public client, by default the walkthrough's, for everything."""

    def journal(self, name: str) -> Path:
        """Return the path of a party's journal."""

    def events(self, name: str) -> list[AuditEvent]:
        """Return the events of a party's journal."""


class Issuer(Protocol):
    """The realm, as its clients reach it."""

    @property
    def issuer(self) -> str:
        """Its URL in tokens."""

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts its certificate."""

    @property
    def metadata(self) -> Metadata:
        """Its endpoints."""


class Compromised(Running, Protocol):
    """A running system in which intruders are inside of genuine workloads."""

    @property
    def keycloak(self) -> Issuer:
        """The realm."""

    @property
    def endpoint(self) -> str:
        """The address of the Workload API."""

    @property
    def directory(self) -> Directory:
        """The parties that can be called, with their addresses and names."""

    async def svid(self, name: str) -> Svid:
        """Return what an intruder inside a workload can get: its certificate and key."""

    async def assertion(self, name: str) -> str:
        """Return what an intruder inside a workload can get: a JWT-SVID for the realm."""
