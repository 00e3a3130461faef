"""Fixtures: the whole system on the real Keycloak with the committed realm, started once for the run.

Its folder is `run/test`: as with `make demo`, a second run neither builds nor imports what has not changed.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from demo.keycloak import Keycloak
from demo.login import Login, sign_in
from demo.system import System, running
from tests.support.realm import Realm
from tests.support.svid import TrustDomain
from zerotrust.registry import Registry

RUN = Path(__file__).parents[2] / "run" / "test"

EVERYTHING = "task.run agent.invoke tool.read tool.write inference.run"


@dataclass(frozen=True)
class LastTime:
    """What is left of a Keycloak that was stopped in order."""

    passwords: dict[str, str] = field(repr=False)
    admin: tuple[str, str] = field(repr=False)
    edited: bool
    login: Login


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def last_time(request: pytest.FixtureRequest, registry: Registry) -> LastTime | None:
    """A whole life of Keycloak before the one that all tests see; only where the test of a second start is run."""
    if not any("test_second_start" in item.nodeid for item in request.session.items):
        return None
    RUN.mkdir(parents=True, exist_ok=True)
    ca_file = RUN / "bundle-ca.pem"
    async with TrustDomain(registry).served(ca_file), Keycloak(RUN, truststore=ca_file) as keycloak:
        login = await sign_in(keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], EVERYTHING)
        return LastTime(keycloak.passwords, keycloak.admin, await keycloak.edited(), login)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real(last_time: LastTime | None) -> AsyncIterator[System]:
    """Everything, as `make demo` starts it: attestation, Keycloak, services, an intruder inside three of them."""
    async with running(RUN, say=print, insiders=("orchestrator", "agent/reader", "agent/writer")) as everything:
        yield everything


@pytest.fixture(scope="session")
def keycloak(real: System) -> Keycloak:
    return real.keycloak


@pytest.fixture(scope="session")
def trust_domain(real: System, registry: Registry) -> TrustDomain:
    """The running authority's own key, in the tests' hands: for credentials that it would never make."""
    return TrustDomain(registry, real.authority._issuer)


@pytest.fixture(scope="session")
def assertion_for(keycloak: Keycloak, trust_domain: TrustDomain) -> Callable[[str], str]:
    """What a party authenticates with at the realm."""
    return lambda party: trust_domain.assertion(party, keycloak.issuer)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def realm(
    keycloak: Keycloak, http: httpx.AsyncClient, assertion_for: Callable[[str], str], registry: Registry
) -> Realm:
    return Realm(keycloak.issuer, http, assertion_for, registry.trust_domain)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def t0(keycloak: Keycloak) -> str:
    """Alice's own token, with everything a person may hand on; good for the 300 s that these tests take at most."""
    return (
        await sign_in(keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], EVERYTHING)
    ).access_token
