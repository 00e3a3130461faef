"""Rung 2: a service that is guarded by tokens bound to workloads, of any issuer."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI

from testkit import CA, Issuer
from testkit.wire import FOREVER, with_peer
from tests.support import waiting
from tests.support.bound import FRONTEND, HERE, OTHER, QUOTES, STOCK, Workload, bound, claims, serving
from tests.support.existing_service import bearer
from zerotrust import Callee, Scope, current_principal
from zerotrust.hardening.pools import Connections
from zerotrust.hardening.server import server
from zerotrust.registry.snapshot import Directory
from zerotrust.routes import MutualTLS
from zerotrust.spiffe.svid import Peer, Svid
from zerotrust.standalone import bound_service


@pytest.fixture
def issuer(issuer: Issuer) -> Issuer:
    """An issuer by the clock of this machine, which the service goes by."""
    return Issuer(issuer.registry)


async def test_a_token_is_served_to_its_workload_and_confirmed_on_every_call(issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path) as ask:
        token = issuer.token(**claims(jti="one"))
        answers = [await ask(token) for _ in range(2)]
        issuer.inactive.add("one")
        revoked = await ask(token)
        issuer.down = True
        unknown = await ask(token)

    assert [answer.json() for answer in answers] == [{"item": "tea", "for": "alice"}] * 2
    assert (revoked.status_code, revoked.json()["reason"]) == (401, "revoked")
    assert (unknown.status_code, unknown.json()["reason"]) == (503, "issuer_unavailable")
    assert len(issuer.introspections) == 3


PRESENTED: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "a token of another workload": ("not_bound", {}, OTHER),
    "a token of a workload, without a certificate": ("not_bound", {}, None),
    "a token of a client that is not known": ("unknown_party", {"client_id": "unknown"}, FRONTEND),
    "a certificate that is not known": ("unknown_peer", {}, "spiffe://shop.example/unknown"),
    "a token without a key, and no certificate": ("not_bound", {"client_id": "cli"}, None),
    "a token with a key, and no proof": ("no_proof", {"client_id": "cli", "cnf": {"jkt": "A" * 43}}, None),
    "a token of a client without a certificate, over one": ("not_bound", {"client_id": "cli"}, FRONTEND),
    "a token that is bound in another way": ("bad_claim", {"cnf": {"x5t#S256": "A" * 43}}, FRONTEND),
    "a token that is bound in two ways": ("bad_claim", {"cnf": {"jkt": "A" * 43, "x5t#S256": "A" * 43}}, FRONTEND),
    "another audience": ("audience_mismatch", {"aud": "another"}, FRONTEND),
    "another scope": ("scope_missing", {"scope": "quote.write"}, FRONTEND),
}


@pytest.mark.parametrize("what", PRESENTED)
async def test_what_is_wrong_in_one_way_is_refused(what: str, issuer: Issuer, tmp_path: Path) -> None:
    reason, changed, peer = PRESENTED[what]
    async with serving(issuer, tmp_path) as ask:
        answer = await ask(issuer.token(**claims(**changed)), peer)

    assert answer.json()["reason"] == reason


@pytest.mark.parametrize("claim", ["cnf", "zt_cnf"])
async def test_a_client_without_a_certificate_proves_its_key(claim: str, issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token(**claims(client_id="cli", **{claim: {"jkt": issuer.user_key.thumbprint}}))
    async with serving(issuer, tmp_path) as ask:
        proof = issuer.user_key.prove("GET", f"{HERE}/quotes/tea", token)
        first, again = [await ask(token, None, dpop=proof) for _ in range(2)]

    assert first.status_code == 200
    assert again.json()["reason"] == "proof_used"


CHAIN = {"sub": "shop", "act": {"sub": "spiffe://shop.example/planner"}}


def chain_of(*actors: str) -> dict[str, Any]:
    """Return the `act` of these actors, the current one first."""
    act: dict[str, Any] = {}
    for actor in reversed(actors):
        act = {"sub": actor, **({"act": act} if act else {})}
    return act


@pytest.mark.parametrize("claim", ["act", "zt_act"])
async def test_the_chain_of_actors_is_read_where_it_is_expected(claim: str, issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path, chain_claim=claim) as ask:
        answer = await ask(issuer.token(**claims(**{claim: CHAIN})))
        by_id = await ask(issuer.token(**claims(**{claim: chain_of(FRONTEND)})))
    records = (tmp_path / "journal.jsonl").read_text().splitlines()
    async with serving(issuer, tmp_path / "other", chain_claim=None) as ask:
        refused = await ask(issuer.token(**claims(**{claim: CHAIN})))

    assert (answer.status_code, by_id.status_code, refused.json()["reason"]) == (200, 200, "bad_claim")
    caller = json.loads(records[0])["event"]["data"]["principal"]
    assert (caller["party"], caller["actors"]) == (FRONTEND, [FRONTEND, "spiffe://shop.example/planner"])


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("actor_mismatch", chain_of("planner", "shop")),
        ("chain_too_deep", chain_of("shop", *map(str, range(8)))),
        ("actor_repeated", chain_of("shop", "planner", "shop")),
        ("bad_claim", {}),
    ],
)
async def test_a_chain_that_is_wrong_is_refused(
    reason: str, act: dict[str, Any], issuer: Issuer, tmp_path: Path
) -> None:
    async with serving(issuer, tmp_path, chain_claim="act") as ask:
        answer = await ask(issuer.token(**claims(act=act)))

    assert answer.json()["reason"] == reason


def identified(ca: CA, party: str) -> Any:
    """Let a service that starts in the block have the identity of this party."""
    return patch.object(bound_service, "Workload", lambda: Workload(ca.svid(party, dns="localhost")))


async def test_over_mutual_tls_a_service_calls_the_next_one_as_the_users_agent(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca, app, stock = CA("agents.example"), FastAPI(openapi_url=None), FastAPI(openapi_url=None)

    @stock.get("/stock")
    async def count() -> list[str]:
        return [current_principal().subject, *current_principal().actors]

    @app.get("/stock")
    async def ask_stock() -> Any:
        async with quotes.calling(STOCK, "stock.read") as http:
            return (await http.get(f"{there}/stock")).json()

    async with AsyncExitStack() as running:
        other = bound(issuer, audience=STOCK, callers={QUOTES: QUOTES}, chain_claim="act")
        with identified(ca, "tool/documents"):
            there = await listening(running, other, stock, tmp_path / "stock")
        quotes = bound(issuer, chain_claim="act", calls={STOCK: Callee(there, STOCK)})
        with identified(ca, "agent/reader"):
            here = await listening(running, quotes, app, tmp_path / "quotes")
        connections = Connections(Directory({here: "localhost"}, {"localhost": QUOTES}), ca.svid("", ids=[FRONTEND]))
        token = issuer.token(**claims(azp="shop", scope="stock.read stock.write"))
        http = await running.enter_async_context(httpx.AsyncClient(transport=connections))
        answer = await http.get(f"{here}/stock", headers=bearer(token))
        with pytest.raises(httpx.TransportError):
            async with httpx.AsyncClient(verify=ca.for_users()) as nobody:
                await nobody.get(f"{there}/stock", headers=bearer(token))

    assert answer.json() == ["alice", QUOTES]
    assert [(asked["audience"], asked["scope"]) for asked in issuer.exchanges] == [(STOCK, "stock.read")]
    told = next(record.getMessage() for record in caplog.records if QUOTES in record.getMessage())
    assert told.startswith("Rung 2, bound to workloads")
    assert "introspect" in told
    assert "revoked" not in told


async def listening(running: AsyncExitStack, service: bound_service.BoundService, app: FastAPI, folder: Path) -> str:
    """Let a service listen until `running` ends.  Return its origin."""
    folder.mkdir()
    gate, context = await running.enter_async_context(
        service.guarding(app, {("GET", "/stock"): Scope("stock.read")}, folder / "journal.jsonl")
    )
    port = await running.enter_async_context(waiting.serving(server(gate, host="localhost", port=0, tls=context)))
    return f"https://localhost:{port}"


async def test_a_renewed_identity_is_shown_and_one_token_without_a_chain_is_not_sent_on(
    issuer: Issuer, tmp_path: Path
) -> None:
    ca, app, renewals = CA("agents.example"), FastAPI(openapi_url=None), list[Callable[[Svid], None]]()

    @app.get("/stock")
    async def ask_stock() -> None:
        async with quotes.calling(STOCK, "stock.read"):
            """Nobody comes here."""

    class Renewed(Workload):
        def on_renewal(self, call: Callable[[Svid], None]) -> None:
            renewals.append(call)

    first, second = (ca.svid("agent/reader", dns="localhost") for _ in range(2))
    quotes = bound(issuer, chain_claim="act", calls={STOCK: Callee("https://localhost:1", STOCK)})
    issuer.chain_claim = "zt_act"  # which nobody reads here
    async with AsyncExitStack() as running:
        with patch.object(bound_service, "Workload", lambda: Renewed(first)):
            here = await listening(running, quotes, app, tmp_path / "quotes")
        for renew in renewals:
            renew(second)
        _, writer = await asyncio.open_connection("localhost", httpx.URL(here).port, ssl=ca.for_users())
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        connections = Connections(Directory({here: "localhost"}, {"localhost": QUOTES}), ca.svid("", ids=[FRONTEND]))
        http = await running.enter_async_context(httpx.AsyncClient(transport=connections))
        answer = await http.get(f"{here}/stock", headers=bearer(issuer.token(**claims(azp="shop", scope="stock.read"))))

    assert shown == second.certificate.public_bytes(Encoding.DER)
    assert answer.json()["reason"] == "exchange_refused"


def test_an_error_names_all_that_is_wrong_with_its_repair() -> None:
    with pytest.raises(ValueError, match="RFC 8414") as raised:
        bound_service.BoundService(
            issuer="http://issuer.test",
            audience="",
            address="https://quotes.example/",
            callers={"shop": "", "one": FRONTEND, "two": FRONTEND, FRONTEND: None},
            calls={"stock": Callee("https://x.example:443", STOCK), "other": Callee("https://x.example", OTHER)},
        )

    lines = str(raised.value).splitlines()
    assert len(lines) == 8, lines


async def test_a_row_for_certificates_names_callers(issuer: Issuer, tmp_path: Path) -> None:
    app = FastAPI(openapi_url=None)

    @app.post("/internal")
    async def internal() -> str:
        return "done"

    routes = {("POST", "/internal"): MutualTLS({"shopp"})}
    with pytest.raises(ValueError, match="shopp: not among the callers"):
        async with bound(issuer).guarding(app, routes, tmp_path / "journal.jsonl"):
            """It does not begin."""


@pytest.mark.parametrize(("audience", "scope"), [(STOCK, "stock.write"), ("nobody", "stock.read")])
async def test_what_the_next_service_refuses_is_answered_as_a_refusal(
    issuer: Issuer, tmp_path: Path, audience: str, scope: str
) -> None:
    service, app = bound(issuer, calls={STOCK: Callee("https://stock.example", STOCK)}), FastAPI(openapi_url=None)

    @app.get("/stock")
    async def stock() -> None:
        async with service.calling(audience, scope):
            """Nobody comes here."""

    with identified(CA("agents.example"), "agent/reader"):
        async with service.guarding(app, {("GET", "/stock"): Scope("stock.read")}, tmp_path / "j.jsonl") as (gate, _):
            at = httpx.ASGITransport(with_peer(gate, Peer(FRONTEND, FOREVER)))
            async with httpx.AsyncClient(transport=at, base_url=HERE) as client:
                token = issuer.token(**claims(scope="stock.read"))
                answer = await client.get("/stock", headers=bearer(token))

    assert (answer.status_code, answer.json()["reason"]) == (403, "would_widen")
