"""The system that runs on this machine: its parties with their addresses, and the files of its run."""

import asyncio
import base64
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from authorities.attestation.local.authority import Authority
from start.earlier_runs import data_folder
from start.keycloak.server import Keycloak
from start.llama_stack.server import LlamaStack
from testkit.browser import sign_in
from zerotrust.audit.event import AuditEvent
from zerotrust.authority.files.deployment import Deployment
from zerotrust.authority.files.lock import Lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import build_snapshot, load_registry
from zerotrust.issuer.discovery import Metadata
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.svid import Svid
from zt.audit.journals import events
from zt.people.client import user_client
from zt.people.login import Login


async def ask_insider(socket: Path, request: str) -> dict[str, Any]:
    """Return the intruder's answer to a request.  Raises `OSError` if it does not run, or has no identity."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"{request}\n".encode())
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    if "error" in answer:
        raise ConnectionError(answer["error"])
    return answer


def all_scopes(registry: Path) -> str:
    """Return the scopes that the walkthrough's client can get; none if the file is invalid, which each start says."""
    try:
        return " ".join(load_registry(registry).parties["walkthrough"].delegates)
    except (RegistryError, KeyError):
        return ""


ROOT = Path(__file__).parents[1]
DEPLOYMENT = ROOT / "start" / "generated" / "local.yaml"
HOST = "127.0.0.1"
EVERYTHING = all_scopes(ROOT / "registry.yaml")
"""All scopes that the walkthrough's client can get."""


class Realm(Protocol):
    """The realm, as its clients reach it."""

    @property
    def issuer(self) -> str:
        """Its URL in tokens."""

    @property
    def tls(self) -> ssl.SSLContext:
        """The TLS context that trusts its certificate."""

    @property
    def metadata(self) -> Metadata:
        """Its endpoints."""

    @property
    def passwords(self) -> dict[str, str]:
        """Those of the users."""


class Running(ABC):
    """A running system, on this machine or in containers, as people and intruders inside of workloads meet it."""

    __slots__ = ()
    registry: Registry
    deployment: Deployment
    keycloak: Realm

    @property
    @abstractmethod
    def ca_file(self) -> Path:
        """The certificate of the authority that signs the certificates of all parties and Keycloak."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The address of the Workload API."""

    @abstractmethod
    def journal(self, name: str) -> Path:
        """Return the path of a party's journal."""

    @abstractmethod
    def insider_socket(self, name: str) -> Path:
        """Return the socket of the intruder inside the workload `name`."""

    def address(self, name: str) -> str:
        """Return a party's origin, with its name in certificates."""
        return self.registry.address(name)

    @property
    def directory(self) -> Directory:
        """The parties that can be called, with their addresses and names."""
        return build_snapshot(self.deployment, self.registry, approved={}).directory()

    def user(self) -> httpx.AsyncClient:
        """Return the HTTP client of a person, without a certificate."""
        return user_client(self.directory, self.ca_file)

    async def sign_in(self, user: str, scope: str = EVERYTHING, client: str = "walkthrough") -> Login:
        """Sign a user in at a public client.  Raises `LoginError` and `httpx.TransportError`."""
        keycloak = self.keycloak
        return await sign_in(keycloak.issuer, client, user, keycloak.passwords[user], scope, verify=keycloak.tls)

    def events(self, name: str) -> list[AuditEvent]:
        return list(events(self.journal(name)))

    async def assertion(self, name: str) -> str:
        """Return what an intruder inside the workload `name` can get: a JWT-SVID for the realm, valid for 60 s."""
        return str((await ask_insider(self.insider_socket(name), self.keycloak.issuer))["jwt_svid"])

    async def svid(self, name: str) -> Svid:
        """Return what an intruder inside the workload `name` can get: its certificate and key, valid for 120 s."""
        answer = await ask_insider(self.insider_socket(name), "x509")
        key, own, *bundle = (base64.b64decode(part) for part in [answer["key"], *answer["certificates"]])
        return Svid.from_der(key, own, bundle)


@dataclass(frozen=True, slots=True)
class System(Running):
    """The running system, and its files."""

    registry: Registry
    deployment: Deployment
    lock: Lock
    folder: Path
    keycloak: Keycloak
    authority: Authority
    llama_stack: LlamaStack | None = None
    """The model server behind inference, which without one answers by a script."""
    suspended: Mapping[str, str] = field(default_factory=dict)
    """The parties that were suspended in an earlier run, each with its cause: they do nothing until reinstated."""

    def place(self, name: str) -> str:
        return self.deployment.parties[name].origin

    def port(self, name: str) -> int:
        return self.deployment.parties[name].port

    @property
    def endpoint(self) -> str:
        return self.authority.endpoint

    @property
    def ca_file(self) -> Path:
        return self.authority.ca_file

    def log(self, name: str) -> Path:
        """Return the path of a party's log (JSON lines)."""
        return self.folder / "logs" / f"{name.replace('/', '-')}.log"

    def journal(self, name: str) -> Path:
        return self.data(name) / "journal.jsonl"

    def data(self, name: str) -> Path:
        return data_folder(self.folder, name)

    def insider_socket(self, name: str) -> Path:
        return self.folder / "insiders" / f"{name.replace('/', '-')}.sock"
