"""A service that is guarded for any issuer, with tokens of a realm that has nothing of this project."""

from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import httpx
import pytest
import pytest_asyncio

from start.keycloak.server import Keycloak
from testkit.wire import lifespan
from tests.support.existing_service import HERE, ROUTES, bearer, existing
from zerotrust import guard

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

REALM = "stock"
AUDIENCE = {
    "name": "audience",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-audience-mapper",
    "config": {"included.custom.audience": HERE, "access.token.claim": "true"},
}
AT_JWT = {"access.token.header.type.rfc9068": "true"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def password(keycloak: Keycloak) -> AsyncIterator[str]:
    """That of sam, in a realm with three clients: one as the page says, and two that lack one setting each."""
    secret = token_hex(16)
    clients = {"shop": (AT_JWT, [AUDIENCE]), "without-type": ({}, [AUDIENCE]), "without-audience": (AT_JWT, [])}
    user = {"username": "sam", "enabled": True, "email": "sam@stock.example", "firstName": "S", "lastName": "M"}
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm(
            {
                "realm": REALM,
                "enabled": True,
                "users": [{**user, "credentials": [{"type": "password", "value": secret}]}],
            }
        )
        try:
            await admin.a_change_current_realm(REALM)
            for name in "quote.read", "quote.write":
                attributes = {"include.in.token.scope": "true"}
                await admin.a_create_client_scope(
                    {"name": name, "protocol": "openid-connect", "attributes": attributes}
                )
            for name, (attributes, mappers) in clients.items():
                client = {"clientId": name, "publicClient": True, "directAccessGrantsEnabled": True}
                scopes = {"defaultClientScopes": ["basic"], "optionalClientScopes": ["quote.read", "quote.write"]}
                await admin.a_create_client({**client, **scopes, "attributes": attributes, "protocolMappers": mappers})
            yield secret
        finally:
            await admin.a_delete_realm(REALM)


async def token(keycloak: Keycloak, password: str, client: str = "shop", scope: str = "quote.read") -> str:
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as http:
        form = {"grant_type": "password", "username": "sam", "password": password, "client_id": client, "scope": scope}
        answer = await http.post(f"{issuer(keycloak)}/protocol/openid-connect/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def reaching(keycloak: Keycloak) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30)


def issuer(keycloak: Keycloak) -> str:
    return keycloak.issuer.replace("/agents", f"/{REALM}")


async def test_a_stock_realm_is_an_issuer(keycloak: Keycloak, password: str, tmp_path: Path) -> None:
    app = guard(
        existing(),
        issuer=issuer(keycloak),
        audience=HERE,
        routes=ROUTES,
        journal=tmp_path / "journal.jsonl",
        http=(http := reaching(keycloak)),
    )
    tokens = {
        "": await token(keycloak, password),
        "scope_missing": await token(keycloak, password, scope="openid"),
        "not_verified": await token(keycloak, password, "without-type"),
        "bad_claim": await token(keycloak, password, "without-audience"),
    }
    async with http, lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        answers = {why: await client.get("/quotes/tea", headers=bearer(one)) for why, one in tokens.items()}

    assert {why: answer.json().get("reason", "") for why, answer in answers.items()} == {why: why for why in tokens}
    assert answers[""].json()["item"] == "tea"
