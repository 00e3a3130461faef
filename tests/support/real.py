"""Fixtures: the whole system on the real Keycloak with the committed realm, started once for the run.

Its folder is `run/test`.  A second run does not build again what has not changed, and starts from nothing otherwise.
"""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from keycloak import KeycloakDeleteError

from demo.intruder import INSIDERS
from lab.realm import LAB_SCRIPT
from lab.thief.listening import beside, launches
from registration.realm import realm as derive
from registration.realm import to_json, with_ports
from registration.realm.script import SCRIPTS as OURS
from start.earlier_runs import forget
from start.everything import running
from start.keycloak.options import URL
from start.keycloak.server import Keycloak
from start.launches import launch_of, settings
from start.system import ROOT, System
from start.waiting import wait_until_listening
from testkit.browser import REDIRECT, sign_in
from tests.support.launched import Authority
from tests.support.pki import CA
from tests.support.realm import Realm
from tests.support.svid import TrustDomain
from tests.support.system import OTHER_CHAIN, deployment
from tests.support.system import registry as committed
from zerotrust.registry.model import Registry
from zt.people.login import Login

RUN = Path(__file__).parents[2] / "run" / "test"
ZT = str(ROOT / ".venv/bin/zt")

Typed = Callable[..., subprocess.CompletedProcess[str]]
"""`zt`, as it is typed."""

SCRIPTS = (*OURS, LAB_SCRIPT)
"""What the committed realm uses, and what the weakened ones of the tests do."""

AGENTS = [f"agent/{letter}" for letter in "abcdefghij"]
AGENT_SCOPE = "agent.invoke"

EVERYTHING = "task.run agent.invoke tool.read tool.write inference.run llama.chat"


@dataclass(frozen=True)
class LastTime:
    """What somebody may have kept of a Keycloak that has ended."""

    passwords: dict[str, str] = field(repr=False)
    admin: tuple[str, str] = field(repr=False)
    login: Login


@pytest.fixture(scope="session")
def ca() -> CA:
    """A CA of this run that no running authority knows."""
    return CA()


@asynccontextmanager
async def keycloak_alone(trust_domain: TrustDomain, ca: CA) -> AsyncIterator[Keycloak]:
    """Keycloak and the keys that it looks up, without any service."""
    RUN.mkdir(parents=True, exist_ok=True)
    ca_file = RUN / "ca.pem"
    certificate, key = ca.server(RUN)
    async with trust_domain.served(ca_file):
        ca_file.write_bytes(ca_file.read_bytes() + ca.pem)
        realm = with_ports(to_json(committed()), committed(), deployment())
        async with Keycloak(
            RUN, realm=realm, truststore=ca_file, certificate=certificate, key=key, scripts=SCRIPTS
        ) as keycloak:
            yield keycloak


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def last_time(request: pytest.FixtureRequest, registry: Registry, ca: CA) -> LastTime | None:
    """A whole life of Keycloak before the one that all tests see; only where the test of a second start is run."""
    if not any("test_second_start" in item.nodeid for item in request.session.items):
        return None
    forget(RUN)
    async with keycloak_alone(TrustDomain(registry), ca) as keycloak:
        password = keycloak.passwords["alice"]
        login = await sign_in(keycloak.issuer, "walkthrough", "alice", password, EVERYTHING, verify=keycloak.tls)
        return LastTime(keycloak.passwords, keycloak.admin, login)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real(last_time: LastTime | None) -> AsyncIterator[System]:
    """Everything: attestation, Keycloak, services, an intruder inside three of them.

    It comes after `last_time`, if that was asked for, and starts from nothing otherwise.
    """
    async with (
        running(
            RUN,
            say=print,
            insiders=(*INSIDERS, "inference"),  # the last for the tokens that it holds for a model server
            scripts=SCRIPTS,
            attestation=Authority,
            parties=launches,
            keep=last_time is not None,
        ) as everything,
        beside(everything),
    ):
        yield everything


async def relaunched(system: System, name: str) -> None:
    """End a party, if it runs, and launch it anew: it remembers nothing."""
    for one in system.authority.running:
        if one.launch.name == name:
            await one.end()
    launch = launch_of(system.registry, name, settings(system, name))
    await wait_until_listening(system, system.place(name), await system.authority.launch(launch))


@pytest.fixture(scope="session")
def keycloak(real: System) -> Keycloak:
    return real.keycloak


@pytest.fixture(scope="session")
def trust_domain(real: System, registry: Registry) -> TrustDomain:
    """The running authority's own key, in the tests' hands: for credentials that it would never make."""
    return TrustDomain(registry, real.authority._issuer)


@pytest.fixture(scope="session")
def own_ca(real: System) -> CA:
    """The running authority's own CA, likewise."""
    return CA(real.authority._issuer._ca)


@pytest.fixture(scope="session")
def assertion_for(keycloak: Keycloak, trust_domain: TrustDomain) -> Callable[[str], str]:
    """What a party authenticates with at the realm."""
    return lambda party: trust_domain.assertion(party, keycloak.issuer)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http(keycloak: Keycloak) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def realm(
    keycloak: Keycloak, http: httpx.AsyncClient, assertion_for: Callable[[str], str], registry: Registry
) -> Realm:
    return Realm(keycloak.issuer, http, assertion_for, registry.trust_domain)


@asynccontextmanager
async def imported(
    keycloak: Keycloak, http: httpx.AsyncClient, trust_domain: TrustDomain, derived: dict[str, Any]
) -> AsyncIterator[Realm]:
    """A realm of the tests' own beside the committed one, for as long as the block runs."""
    derived = json.loads(with_ports(json.dumps(derived), committed(), deployment()))
    # Ids are unique in all of Keycloak.
    users = [{key: value for key, value in user.items() if key != "id"} for user in derived["users"]]
    for user in users:
        if password := keycloak.passwords.get(user["username"]):
            user["credentials"] = [{"type": "password", "value": password}]
    issuer = f"{URL}/realms/{derived['realm']}"
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm({**derived, "users": users})
    try:
        yield Realm(issuer, http, lambda party: trust_domain.assertion(party, issuer), trust_domain.name)
    finally:
        async with keycloak.administration("master") as admin:
            with suppress(KeycloakDeleteError):  # one that was ended meanwhile has forgotten it
                await admin.a_delete_realm(derived["realm"])


@pytest.fixture(scope="session")
def long_registry() -> Registry:
    """Ten agents; each may call every other one, and users the first."""
    agents = {
        name: {"id": "spiffe", "keycloak": "confidential", "code": "agents"}
        | {"may_call": [other for other in AGENTS if other != name], "delegates": [AGENT_SCOPE], "max_ttl": 60}
        for name in AGENTS
    }
    return Registry.model_validate(
        {
            "trust_domain": "agents.example",
            "realm": "long",
            "chain_claim": OTHER_CHAIN,
            "authorities": {
                "registry": "authority/registry",
                "attestation": "authority/attestation",
                "audit": "authority/audit",
                "policy": "authority/policy",
            },
            "departments": ["/engineering", "/finance"],
            "scopes": {AGENT_SCOPE: {"served_by": AGENTS}},
            "parties": {
                "walkthrough": {"id": "client", "starts_chains": True, "keycloak": "public"}
                | {"may_call": AGENTS[:1], "delegates": [AGENT_SCOPE], "max_ttl": 300, "redirect_uris": [REDIRECT]},
                "authority/registry": {"id": "spiffe", "keycloak": "confidential", "code": "authorities"},
                "authority/attestation": {"id": "spiffe", "keycloak": "none"},
                "authority/audit": {"id": "spiffe", "keycloak": "none", "code": "authorities"},
                "authority/policy": {"id": "spiffe", "keycloak": "confidential", "code": "authorities/policy"},
                **agents,
            },
            "freshness": {"keys": 300, "keys_cooldown": 10, "svid": 60, "x509_svid": 120, "revocations": 3},
        }
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def long(
    keycloak: Keycloak, trust_domain: TrustDomain, http: httpx.AsyncClient, long_registry: Registry
) -> AsyncIterator[Realm]:
    """A realm of many agents, beside the committed one."""
    async with imported(keycloak, http, trust_domain, derive(long_registry)) as realm:
        yield realm


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def t0(keycloak: Keycloak) -> str:
    """Alice's own token, with everything that can be delegated; good for the 300 s that these tests take at most."""
    return (
        await sign_in(
            keycloak.issuer, "walkthrough", "alice", keycloak.passwords["alice"], EVERYTHING, verify=keycloak.tls
        )
    ).access_token
