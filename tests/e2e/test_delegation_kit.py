"""The delegation kit at the real Keycloak: a realm of this project with each name of the chain, and one as it comes."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from secrets import token_hex
from typing import Any

import httpx
import pytest

from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from testkit.delegation import Client, Issuer, SignedIn, password_grant
from testkit.delegation.issuer import Claims
from tests.support.delegation import CHECKS, outcome
from tests.support.real import AGENT_SCOPE, AGENTS, imported
from tests.support.svid import TrustDomain
from tests.support.system import ROOT
from zerotrust.registry.model import Registry

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SCOPES = (AGENT_SCOPE, "tool.read")
LIFE = 300
"""Seconds of every token: a client's that does not end with the user's would end later."""


def described(keycloak: Keycloak, name: str, **more: Any) -> Issuer:
    """A realm of the running Keycloak as the kit sees it."""

    async def change(what: str, said: Claims, **to: bool) -> None:
        async with keycloak.administration(name) as admin:
            if what == "session":
                await admin.connection.a_raw_delete(f"admin/realms/{name}/sessions/{said['sid']}")
            elif what == "user":
                await admin.a_update_user(said["sub"], to)
            else:
                await admin.a_update_client(str(await admin.a_get_client_id(more["clients"][0].client_id)), to)

    @contextmanager
    def revoked(what: str, said: Claims) -> Iterator[None]:
        asyncio.run(change(what, said, enabled=False))
        yield
        if what != "session":
            asyncio.run(change(what, said, enabled=True))

    endpoint = f"{keycloak.issuer.rpartition('/')[0]}/{name}/protocol/openid-connect"
    ends = {"token": "token", "introspection": "token/introspect", "revocation": "revoke"}
    return Issuer(
        http=httpx.Client(verify=keycloak.tls, trust_env=False, timeout=30),
        metadata={f"{end}_endpoint": f"{endpoint}/{path}" for end, path in ends.items()},
        revoke={what: partial(revoked, what) for what in ("session", "user", "client")},
        scopes=SCOPES,
        **more,
    )


@asynccontextmanager
async def ours(
    claim: str, keycloak: Keycloak, http: httpx.AsyncClient, trust_domain: TrustDomain, registry: Registry
) -> AsyncIterator[Issuer]:
    """The realm of ten agents that may each call any other."""
    name = "kit" + claim.replace("_", "")
    told = registry.model_dump(mode="json", exclude_unset=True) | {"realm": name, "chain_claim": claim}
    told["scopes"] = dict.fromkeys(SCOPES, told["scopes"][AGENT_SCOPE])
    for party in ("walkthrough", *AGENTS):
        told["parties"][party] |= {"delegates": list(SCOPES), "max_ttl": LIFE}
    async with imported(keycloak, http, trust_domain, derive(Registry.model_validate(told))) as realm:

        def signed_in(_issuer: Issuer, scope: str, _bind: bool) -> SignedIn:
            password = keycloak.passwords["alice"]
            login = asyncio.run(sign_in(realm.issuer, "walkthrough", "alice", password, scope, verify=keycloak.tls))
            return SignedIn(login.access_token, login.refresh_token, login.key)

        clients = [Client(client_id=realm.id(agent), credential=partial(realm.credential, agent)) for agent in AGENTS]
        user = {"user_client": Client(client_id="walkthrough"), "sign_in": signed_in}
        yield described(keycloak, name, clients=clients, chain_claim=claim, **user)


def audience(client: str) -> dict[str, Any]:
    config = {"included.client.audience": client, "access.token.claim": "true", "introspection.token.claim": "true"}
    about = {"protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper"}
    return {"name": f"for {client}", **about, "config": config}


@asynccontextmanager
async def stock(keycloak: Keycloak) -> AsyncIterator[Issuer]:
    """A new realm with what its documentation asks for: four clients that may exchange, and their audiences."""
    secret = token_hex(16)
    about = {"username": "sam", "enabled": True, "email": "sam@kit.example", "firstName": "S", "lastName": "M"}
    user = {**about, "credentials": [{"type": "password", "value": secret}]}
    exchanges = {"attributes": {"standard.token.exchange.enabled": "true"}}
    registered: dict[str, dict[str, Any]] = {
        name: {**exchanges, "secret": secret + name, "protocolMappers": [audience(n) for n in "abcd" if n != name]}
        for name in "abcd"
    }
    registered["shop"] = {"publicClient": True, "directAccessGrantsEnabled": True, "protocolMappers": [audience("a")]}
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm({"realm": "kit", "enabled": True, "users": [user]})
        try:
            await admin.a_change_current_realm("kit")
            shown = {"protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
            scopes = [await admin.a_create_client_scope({"name": scope, **shown}) for scope in SCOPES]
            for name, client in registered.items():
                internal = await admin.a_create_client({"clientId": name, **client})
                for scope in scopes:
                    await admin.a_add_client_optional_client_scope(internal, scope, {})
            clients = [Client(client_id=n, credential=partial(dict, client_secret=secret + n)) for n in "abcd"]
            shop = Client(client_id="shop")
            yield described(keycloak, "kit", clients=clients, user_client=shop, sign_in=password_grant("sam", secret))
        finally:
            await admin.a_delete_realm("kit")


@pytest.mark.parametrize(("target", "column"), [("act", 1), ("zt_act", 1), ("stock", 2)])
async def test_each_realm_does_what_the_page_says(
    keycloak: Keycloak,
    http: httpx.AsyncClient,
    trust_domain: TrustDomain,
    long_registry: Registry,
    target: str,
    column: int,
) -> None:
    page = (ROOT / "docs" / "how-to" / "delegation-kit.md").read_text()
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| .*\|$", page, re.MULTILINE)]

    realm = stock(keycloak) if target == "stock" else ours(target, keycloak, http, trust_domain, long_registry)
    async with realm as issuer:
        with issuer.http:
            told = {name: await asyncio.to_thread(outcome, check, issuer) for name, check in CHECKS.items()}

    assert {name: said for name, (said, _) in told.items()} == {r[0]: r[column] for r in rows if r[0] in CHECKS}, told
