"""The policy authority in an attacked system: alive beside the services, with the policies of this project."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from authorities.policy.app import create_app
from authorities.policy.versions import Versions, content_of
from tests.support.attack import POLICY_AUTHORITY, in_process
from tests.support.attack_operated import Operated
from tests.support.issuer import Issuer
from tests.support.policies import versions_in
from tests.support.system import POLICIES, lifespan
from zerotrust.service import Service


class Governed(Operated):
    """The system with its policy authority."""

    authority, client, rule = POLICY_AUTHORITY, "zt-policy", "policy-operator"
    versions: Versions


@asynccontextmanager
async def with_policy_authority(folder: Path, issuer: Issuer, kind: type[Service]) -> AsyncIterator[Governed]:
    """All services and the policy authority; no registry answers it."""
    async with in_process(folder, issuer, kind) as plain:
        target = Governed(plain.system, issuer, plain.clock)
        system = target.system
        address = system.addresses[POLICY_AUTHORITY] = system.registry.address(POLICY_AUTHORITY)
        service = system.service(POLICY_AUTHORITY)
        target.versions = versions_in(service.data / "versions", content_of(POLICIES))
        app = system.apps[address] = create_app(service, target.versions, lambda _call: None)
        async with lifespan(app):
            yield target
