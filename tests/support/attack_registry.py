"""The registry authority in an attacked system: alive beside the services, which hear at once what it revokes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from authorities.registry.app import create_app
from authorities.registry.keycloak.admin import Administration
from tests.support.attack import REGISTRY, in_process
from tests.support.attack_operated import Operated
from tests.support.ca import TRUST_DOMAIN
from tests.support.issuer import Issuer
from tests.support.policies import keep
from tests.support.system import lifespan
from zerotrust.service import Service


@dataclass
class Clients(Administration):
    """Stands for Keycloak's administration; keeps which clients get no tokens."""

    disabled: set[str] = field(default_factory=set)

    async def enable_client(self, client_id: str) -> None:
        self.disabled.discard(client_id)

    async def disable_client(self, client_id: str) -> None:
        self.disabled.add(client_id)

    async def identity(self, client_id: str) -> str:
        return client_id

    async def user_id(self, name: str) -> str | None:
        return name

    async def disable_user(self, user: str) -> None:
        self.disabled.add(user)

    async def enable_user(self, user: str) -> None:
        self.disabled.discard(user)

    async def end_session(self, session: str) -> None:
        self.disabled.add(session)


class Registered(Operated):
    """The system with its registry."""

    authority, client = REGISTRY, "zt"
    clients: Clients
    data: Path
    """The folder of the registry's data."""

    @property
    def revoked(self) -> set[str]:
        """The revoked parties, as every follower has them."""
        return {name for kind, name in self.system.revocations.revoked if kind == "party"}


async def follow_nobody(_apply: object, _heard: object) -> None:
    """Nothing is heard of the issuer here."""


@asynccontextmanager
async def with_registry(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Registered]:
    """All services and the registry."""
    async with in_process(folder, issuer, kind) as plain:
        target = Registered(plain.system, issuer, plain.clock)
        target.clients, system = Clients(), target.system
        snapshot = system.snapshot
        address = snapshot.registry.address(REGISTRY)
        system.addresses[REGISTRY] = address
        service = system.service(REGISTRY)
        keep(service.data)
        target.data = service.data
        app = create_app(service, target.clients, lambda: snapshot, follow_nobody)
        system.apps[address] = app
        async with lifespan(app):
            yield target


def spiffe_id(name: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/{name}"
