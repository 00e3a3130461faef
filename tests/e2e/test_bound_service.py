"""Rung 2 as its page has it: the page's service, started with a SPIFFE socket, for a realm without anything of ours.

The socket is attestation's own, except that it attests every process as the one workload that it was made for.
"""

import asyncio
import datetime as dt
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from authorities.attestation.spiffe.bounded_server import BoundedServer, process_caller
from authorities.attestation.spiffe.svid_issuer import Issuer
from authorities.attestation.spiffe.workload_api import WorkloadApi
from start.keycloak.server import Keycloak
from start.system import System
from tests.support.system import ROOT
from tests.support.waiting import until
from zerotrust.hardening.pools import Connections
from zerotrust.registry.snapshot import Directory
from zerotrust.spiffe.svid import Svid
from zt.people.key import Key

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

REALM = "shop"
ID = "spiffe://agents.example/shop/{}"
PAGE = (ROOT / "docs" / "how-to" / "guard.md").read_text()
[SERVICE] = [code for code in re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL) if "BoundService(" in code]
STOCK = """
from fastapi import FastAPI
from zerotrust import BoundService, Scope, current_principal

service = FastAPI(openapi_url=None)
bound = BoundService(issuer=ISSUER, audience="stock", address="https://localhost", callers={"quotes": QUOTES})

@service.get("/stock/{item}")
async def stock(item: str) -> list[str]:
    return [item, current_principal().party, *sorted(current_principal().scopes)]

bound.run(service, {("GET", "/stock/{item}"): Scope("stock.read")}, host="127.0.0.1", port=PORT)
"""


class Api(WorkloadApi):
    """Gives the identity of one workload to whoever asks."""

    def __init__(self, name: str, issuer: Issuer) -> None:
        freshness = SimpleNamespace(x509_svid=120, svid=60)
        self._own: Any = SimpleNamespace(party_id=ID.format(name), party=name)
        registry: Any = SimpleNamespace(freshness=freshness, dns_names=lambda _: ["localhost"])
        drift: Any = SimpleNamespace(wait_until_drifted=lambda _, seconds: asyncio.sleep(seconds))
        super().__init__(registry, drift, drift, issuer, lambda *_, **__: None)

    async def _measure_caller(self, *_: Any, **__: Any) -> Any:
        return self._own

    async def _attest_caller(self, *_: Any) -> Any:
        return self._own


@dataclass
class Shop:
    """A realm, and two services that run from files in a folder of their own."""

    keycloak: Keycloak
    issuer: Issuer
    passwords: dict[str, str]
    here: str = ""

    @property
    def realm(self) -> str:
        return self.keycloak.issuer.replace("/agents", f"/{REALM}")

    async def token(self, client: str, scope: str = "quote.read stock.read", key: Key | None = None) -> str:
        url = f"{self.realm}/protocol/openid-connect/token"
        form = {"grant_type": "password", "username": "sam", "password": self.passwords["sam"], "client_id": client}
        secret = {"client_secret": self.passwords[client]} if client in self.passwords else {}
        proof = {"dpop": key.prove("POST", url)} if key else {}
        async with httpx.AsyncClient(verify=self.keycloak.tls, trust_env=False, timeout=30) as http:
            answer = await http.post(url, data={**form, **secret, "scope": scope}, headers=proof)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def client(self, name: str | None) -> httpx.AsyncClient:
        """A workload's client, or one without a certificate."""
        if name is None:
            return httpx.AsyncClient(verify=self.keycloak.tls, trust_env=False, timeout=30)
        made = self.issuer.x509_svid(ID.format(name), "localhost", now=dt.datetime.now(dt.UTC), life=120)
        svid = Svid.from_der(*made, [self.issuer.ca_der])
        directory = Directory({self.here: "localhost"}, {"localhost": ID.format("quotes")})
        return httpx.AsyncClient(transport=Connections(directory, svid), timeout=30)

    async def ask(
        self, token: str, name: str | None = "frontend", path: str = "/quotes/tea", key: Key | None = None
    ) -> httpx.Response:
        headers = key.headers("GET", self.here + path, token) if key else {"authorization": f"Bearer {token}"}
        async with self.client(name) as http:
            return await http.get(self.here + path, headers=headers)


def audience(client: str) -> dict[str, Any]:
    config = {"included.client.audience": client, "access.token.claim": "true"}
    return {"name": client, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper", "config": config}


def workload(client: str) -> dict[str, Any]:
    """A client that authenticates with its JWT-SVID."""
    named = {"jwt.credential.issuer": "spiffe", "jwt.credential.sub": ID.format(client)}
    return {"publicClient": False, "clientAuthenticatorType": "federated-jwt", "attributes": named}


async def set_up(keycloak: Keycloak, passwords: dict[str, str]) -> None:
    """Make the realm as the page says."""
    user = {"username": "sam", "enabled": True, "email": "sam@shop.example", "firstName": "S", "lastName": "M"}
    credentials = [{"type": "password", "value": passwords["sam"]}]
    exchanges = {"standard.token.exchange.enabled": "true"}
    clients: dict[str, dict[str, Any]] = {
        "frontend": {"secret": passwords["frontend"], "publicClient": False, "protocolMappers": [audience("quotes")]},
        "cli": {
            "publicClient": True,
            "attributes": {"dpop.bound.access.tokens": "true"},
            "protocolMappers": [audience("quotes")],
        },
        "quotes": {**workload("quotes"), "protocolMappers": [audience("stock")]},
        "stock": workload("stock"),
    }
    clients["quotes"]["attributes"] |= exchanges
    async with keycloak.administration() as admin:
        provider = await admin.a_get_idp("spiffe")
    async with keycloak.administration("master") as admin:
        await admin.a_create_realm({"realm": REALM, "enabled": True, "users": [{**user, "credentials": credentials}]})
        await admin.a_change_current_realm(REALM)
        await admin.a_create_idp({name: provider[name] for name in ("alias", "providerId", "enabled", "config")})
        for name in "quote.read", "stock.read":
            await admin.a_create_client_scope(
                {"name": name, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
            )
        for name, client in clients.items():
            attributes = {"access.token.header.type.rfc9068": "true", **client.pop("attributes", {})}
            grants = {"directAccessGrantsEnabled": name in {"frontend", "cli"}}
            scopes = {"defaultClientScopes": ["basic"], "optionalClientScopes": ["quote.read", "stock.read"]}
            await admin.a_create_client({"clientId": name, "attributes": attributes, **grants, **scopes, **client})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def running(name: str, source: str, port: int, folder: Path, shop: Shop) -> AsyncIterator[None]:
    """Run a service from a file in its own folder, with a socket of its own, until the block ends."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(source)
    (folder / "ca.pem").write_bytes(shop.keycloak._truststore.read_bytes())
    api = Api(name, shop.issuer)
    server = BoundedServer(api, process_caller)
    await server.start(path=str(folder / "spiffe.sock"))
    env = {
        "SPIFFE_ENDPOINT_SOCKET": f"unix://{folder}/spiffe.sock",
        "SSL_CERT_FILE": str(folder / "ca.pem"),
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, f"{name}.py", cwd=folder, env=os.environ | env, stdout=log, stderr=log
        )
    try:
        await until(lambda: process.returncode is not None or listens(port))
        assert process.returncode is None, (folder / "log").read_text()
        assert "Rung 2, bound to workloads" in (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        await process.wait()
        api.close()
        server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(keycloak: Keycloak, real: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The realm, the page's service, and the one that it calls."""
    folder, here, there = tmp_path_factory.mktemp("shop"), free_port(), free_port()
    shop = Shop(keycloak, real.authority._issuer, {name: token_hex(16) for name in ("sam", "frontend")})
    shop.here = f"https://localhost:{here}"
    quotes = SERVICE.replace("https://sso.example/realms/shop", shop.realm).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    quotes = quotes.replace("spiffe://shop.example/", ID.format("")).replace("port=8443", f"port={here}")
    quotes = quotes.replace("https://quotes.shop.example:8443", shop.here)
    quotes = quotes.replace("https://stock.shop.example:8443", f"https://localhost:{there}")
    stock = f"ISSUER, QUOTES, PORT = {shop.realm!r}, {ID.format('quotes')!r}, {there}\n{STOCK}"
    await set_up(keycloak, shop.passwords)
    async with (
        running("quotes", quotes, here, folder / "quotes", shop),
        running("stock", stock, there, folder / "stock", shop),
    ):
        yield shop
    async with keycloak.administration("master") as admin:
        await admin.a_delete_realm(REALM)


async def test_the_pages_service_takes_a_token_from_its_workload_alone(shop: Shop) -> None:
    token, key = await shop.token("frontend"), Key()
    bound = await shop.token("cli", key=key)
    answers = {
        "": await shop.ask(token),
        "of another": await shop.ask(token, "stock"),
        "without a certificate": await shop.ask(token, None),
        "with a proof": await shop.ask(bound, None, key=key),
        "with another proof": await shop.ask(bound, None, key=Key()),
        "without the scope": await shop.ask(await shop.token("frontend", "stock.read")),
    }

    assert {what: answer.json().get("reason", answer.status_code) for what, answer in answers.items()} == {
        "": 200,
        "of another": "unknown_peer",
        "without a certificate": "unsupported_scheme",
        "with a proof": 200,
        "with another proof": "bad_proof",
        "without the scope": "scope_missing",
    }


async def test_it_calls_on_with_a_token_of_less_scope(shop: Shop) -> None:
    answer = await shop.ask(await shop.token("frontend"), path="/stock/tea")

    assert answer.json() == ["tea", ID.format("quotes"), "stock.read"]


async def test_a_session_and_a_client_are_ended_without_a_browser(shop: Shop, keycloak: Keycloak) -> None:
    token = await shop.token("frontend")
    before = await shop.ask(token)
    async with keycloak.administration(REALM) as admin:
        await admin.a_user_logout(str(await admin.a_get_user_id("sam")))
        signed_out = await shop.ask(token)
        token = await shop.token("frontend")
        await admin.a_update_client(str(await admin.a_get_client_id("frontend")), {"enabled": False})
        suspended = await shop.ask(token)

    assert before.status_code == 200
    assert [signed_out.json()["reason"], suspended.json()["reason"]] == ["revoked", "revoked"]
