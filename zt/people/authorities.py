"""The authorities that operators use, the registry and the policy authority, and where these are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zerotrust.authority.files.deployment import Deployment
from zerotrust.authority.files.snapshot_files import build_snapshot
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import Directory, Endpoint
from zt.errors import CommandError

ATTESTATIONS_LOG = "run/logs/authority-attestation.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """How operators reach one of the authorities, and how `zt` speaks of it."""

    client: str
    """The client with which they sign in."""
    scope: str
    """The scope that it asks for; one party serves it: the authority."""
    called: str
    """In a sentence."""
    party: str
    """Its usual name, which names its files on this machine."""
    look: str
    """The commands that show whether something was done."""

    @property
    def journal(self) -> str:
        """Its journal, on this machine."""
        return f"run/data/{self.party.replace('/', '-')}/journal.jsonl"

    @property
    def log(self) -> str:
        """Its log, on this machine."""
        return f"run/logs/{self.party.replace('/', '-')}.log"

    @property
    def drift_advice(self) -> str:
        """Advice where it has no valid certificate, or no news of Keycloak."""
        return (
            f"Attestation gives {self.called} no certificate and no token unless {self.called} runs the approved "
            f"code: see what {ATTESTATIONS_LOG} says of {self.party} (in containers: `docker compose logs "
            "attestation`).  Put its files back, or approve them by `make register`; then `make down`, `make up`."
        )

    @property
    def expired_reason(self) -> str:
        """The reason, for programs, if its certificate has expired: `registry_certificate_expired`."""
        return f"{self.party.removeprefix('authority/')}_certificate_expired"

    @property
    def impostor_reason(self) -> str:
        """The reason if another server answers: `not_the_registry`."""
        return f"not_{self.called.replace(' ', '_')}"


REGISTRY = Authority(
    client="zt",
    scope="registry.admin",
    called="the registry",
    party="authority/registry",
    look="`zt party list`, `zt revocations`",
)
POLICY_AUTHORITY = Authority(
    client="zt-policy",
    scope="policy.admin",
    called="the policy authority",
    party="authority/policy",
    look="`zt policy list`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The issuer that operators sign in at, and the authorities."""

    issuer: str
    known: Registry
    """All that registry.yaml says."""
    attestation: tuple[str, str, Endpoint] | None
    """Name, DNS name and endpoint of who makes certificates, if it is deployed; its own has no SPIFFE ID."""
    doors: Mapping[str, str]
    """The address of the party that serves each scope."""
    directory: Directory
    ca: Path

    @classmethod
    def of(cls, registry: Registry, deployment: Deployment, *, issuer: str, ca: Path) -> "Place":
        """Return those of a registry with this deployment."""
        name = registry.authorities.attestation
        there = deployment.parties.get(name)
        dns_name = str(urlsplit(registry.address(name)).hostname)
        return cls(
            issuer=issuer,
            known=registry,
            attestation=(name, dns_name, (there.host, there.port)) if there else None,
            doors={
                scope: registry.address(entry.served_by[0])
                for scope, entry in registry.scopes.items()
                if entry.served_by[0] in registry.parties
            },
            directory=build_snapshot(deployment, registry, approved={}).directory(),
            ca=ca,
        )

    def address(self, door: Authority) -> str:
        """Return the address of an authority.  Raises `CommandError` if this system has none of that kind."""
        if door.scope not in self.doors:
            raise CommandError(
                f"registry.yaml has no scope {door.scope}, so this system has no {door.party}.", "no_door"
            )
        return self.doors[door.scope]
