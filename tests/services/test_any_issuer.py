"""Rung 1: a service that exists already, guarded with tokens of any issuer, whose keys are discovered."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, UploadFile
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message

from testkit import Issuer, principal
from testkit.issuer import ISSUER
from testkit.wire import lifespan
from tests.support.existing_service import HERE, ROUTES, bearer, existing, plain_claims
from zerotrust import Scope, checks, current_principal, guard
from zerotrust.audit.counts import IN_THE_LOG
from zerotrust.decision import Decision, Denied, Question, Reason, Resource
from zerotrust.identity import Principal
from zerotrust.standalone import bound_service
from zerotrust.standalone.any_issuer import STEPS, ByScope


@pytest.fixture
def issuer(issuer: Issuer) -> Issuer:
    """An issuer by the clock of this machine, which `guard` goes by."""
    return Issuer(issuer.registry)


@asynccontextmanager
async def serving(issuer: Issuer, folder: Path, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The app behind its gate."""
    http = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))
    journal = folder / "journal.jsonl"
    app: ASGIApp = guard(existing(), issuer=ISSUER, audience=HERE, routes=ROUTES, journal=journal, http=http, **more)
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        yield client


async def test_a_token_with_the_scope_is_served_and_one_line_of_the_journal_says_so(
    issuer: Issuer, tmp_path: Path
) -> None:
    async with serving(issuer, tmp_path) as client:
        answer = await client.get("/quotes/tea", headers=bearer(issuer.token(**plain_claims())))
        elsewhere = await client.get(
            "/mounted/at/all", headers=bearer(issuer.token(**plain_claims(aud=["other", HERE])))
        )
        refused = await client.post("/v1/quotes", headers=bearer(issuer.token(**plain_claims())))

    assert answer.json() == {"item": "tea", "for": "alice"}
    assert elsewhere.text == "mounted"
    assert (refused.status_code, refused.json()["reason"]) == (403, "scope_missing")
    assert 'error="insufficient_scope", scope="quote.write"' in refused.headers["www-authenticate"]
    events = [json.loads(line)["event"]["data"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    decided = [event["decision"]["reason"] for event in events if "decision" in event]
    assert decided == ["granted", "granted", "scope_missing"]


@pytest.mark.parametrize(
    "changed", [{"client_id": None}, {"azp": "another"}, {"sub": None}, {"jti": None}, {"exp": "1"}, {"exp": 2**33}]
)
async def test_a_claim_that_is_missing_or_wrong_is_named_in_the_journal(
    changed: dict[str, Any], issuer: Issuer, tmp_path: Path
) -> None:
    async with serving(issuer, tmp_path) as client:
        answer = await client.get("/quotes/tea", headers=bearer(issuer.token(**plain_claims(**changed))))

    assert answer.json()["reason"] == "bad_claim"


@pytest.mark.parametrize(
    ("header", "changed", "logged"),
    [
        ({"typ": "JWT"}, {}, "wrong_type: it is of the type JWT"),
        ({}, {"aud": None}, "bad_claim: aud"),
        ({}, {"sub": None}, "bad_claim: sub"),
        ({}, {"aud": "account"}, f"audience_mismatch: it is for account, and this is {HERE}"),
    ],
)
async def test_a_realm_that_is_set_up_wrongly_is_named_in_the_log_with_the_trace(
    header: dict[str, Any],
    changed: dict[str, Any],
    logged: str,
    issuer: Issuer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = issuer.token(header=header, **plain_claims(**changed))
    async with serving(issuer, tmp_path) as client:
        answers = [await client.get("/quotes/tea", headers=bearer(token)) for _ in range(IN_THE_LOG + 5)]

    said = [record.getMessage() for record in caplog.records if record.name == "zerotrust.checks"]
    assert logged in said[0]
    assert answers[0].json()["trace_id"] in said[0]
    assert len(said) < len(answers)


async def test_keycloaks_name_of_the_client_is_taken_as_well(issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path) as client:
        token = issuer.token(**plain_claims(client_id=None, azp="shop"))
        assert (await client.get("/quotes/tea", headers=bearer(token))).status_code == 200


async def test_what_is_no_access_token_of_the_issuer_is_refused_without_a_word_why(
    issuer: Issuer, tmp_path: Path
) -> None:
    forged = Issuer(issuer.registry).token(**plain_claims())
    id_token = issuer.token(header={"typ": "JWT"}, **plain_claims())
    async with serving(issuer, tmp_path) as client:
        for token in forged, id_token, "no.token.atall":
            answer = await client.get("/quotes/tea", headers=bearer(token))
            assert (answer.status_code, answer.json()["reason"]) == (401, "not_verified")
        without = await client.get("/quotes/tea")
        proof = await client.get("/quotes/tea", headers={"authorization": f"DPoP {issuer.token(**plain_claims())}"})

    assert without.headers["www-authenticate"].startswith("Bearer ")
    assert (without.json()["reason"], proof.json()["reason"]) == ("no_token", "unsupported_scheme")


async def test_what_is_in_no_table_is_not_served_and_what_is_public_is(issuer: Issuer, tmp_path: Path) -> None:
    async with serving(issuer, tmp_path) as client:
        assert (await client.get("/health")).json() == "ok"
        answer = await client.put("/quotes/tea", headers=bearer(issuer.token(**plain_claims())))

    assert answer.json()["reason"] == "no_permission_for_route"


async def test_another_engine_decides_where_one_is_given(issuer: Issuer, tmp_path: Path) -> None:
    class Nothing(ByScope):
        def decide(self, principal: Principal, permission: str, audience: str) -> Decision:  # noqa: ARG002
            return Decision(allowed=False, reason=Reason.POLICY_DENIED)

    async with serving(issuer, tmp_path, engine=Nothing()) as client:
        answer = await client.get("/quotes/tea", headers=bearer(issuer.token(**plain_claims())))

    assert (answer.status_code, answer.json()["reason"]) == (403, "policy_denied")


def test_scopes_say_nothing_about_one_thing() -> None:
    asked: list[Question] = [("quote.read", HERE), ("quote.delete", Resource("Quote", "tea"))]
    found = ByScope().decide_each(principal(scopes=frozenset({"quote.read"})), asked)
    assert [decision.reason for decision in found] == [Reason.GRANTED, Reason.RESOURCE_DENIED]


def test_an_error_names_all_that_is_missing_with_its_repair(tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/slow")
    def slow() -> None:
        """Run in a thread."""

    @app.get("/quick")
    async def quick() -> None:
        """Run in the loop."""

    with pytest.raises(ValueError, match="cannot be guarded") as raised:
        guard(app, issuer="http://issuer.test", audience="", routes={}, journal=tmp_path / "journal.jsonl")

    told = str(raised.value)
    for part in (
        "issuer='http://issuer.test': its name is an https address",
        "audience='': write how tokens name this service",
        "GET /docs is served, and not in the table: FastAPI(openapi_url=None)",
        "the handler of /slow is def, and its thread cannot be cut off: async def, or thread=True",
        "GET /quick is served, and not in the table: add a row",
    ):
        assert part in told
    with pytest.raises(ValueError, match=r"write Scope\('quote.read'\)"):
        guard(app, issuer=ISSUER, audience="x", routes={("GET", "/quick"): "quote.read"})  # type: ignore[dict-item]
    assert not [*tmp_path.iterdir()]


async def test_what_it_takes_and_why_it_has_no_keys_is_said_where_it_runs(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.down = True
    async with serving(issuer, tmp_path) as client:
        answer = await client.get("/quotes/tea", headers=bearer(issuer.token(**plain_claims())))

    assert (answer.status_code, answer.json()["reason"]) == (503, "keys_unavailable")
    begun, failed = caplog.messages
    assert begun.endswith("is taken from anybody until it ends.  Steps: " + ", ".join(step.id for step in STEPS) + ".")
    assert failed == f"the keys of {ISSUER} cannot be read: issuer_unavailable: its metadata: status 503"


async def test_what_the_app_has_at_its_start_its_handlers_have(tmp_path: Path) -> None:
    @asynccontextmanager
    async def started(_app: object) -> AsyncIterator[dict[str, str]]:
        yield {"database": "here"}

    app = FastAPI(openapi_url=None, lifespan=started)
    gate = guard(app, issuer=ISSUER, audience=HERE, routes={}, journal=tmp_path / "journal.jsonl")
    state: dict[str, Any] = {}
    coming: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return coming.pop(0)

    async def send(_message: Message) -> None:
        """Go on."""

    await gate({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, receive, send)

    assert state == {"database": "here"}


NOT_TAKEN = {
    "rung 1": {"peer", "workload", "bind", "prove", "revoked", "introspect"},
    "rung 2": {"revoked"},
}
"""The steps of a party that each rung leaves out.  Somebody has to decide about a new step: here, or in its list."""


@pytest.mark.parametrize(("rung", "steps"), [("rung 1", STEPS), ("rung 2", bound_service.STEPS)])
def test_each_step_of_a_party_is_taken_at_a_rung_or_left_out_by_name(rung: str, steps: tuple[checks.Step, ...]) -> None:
    taken = [step.id for step in steps]

    assert taken == [step.id for step in checks.STEPS if step.id not in NOT_TAKEN[rung]]


async def answered(issuer: Issuer, folder: Path, handler: Any, row: Scope, **sent: Any) -> httpx.Response:
    """Send one request to a service with one handler; a page of another site may ask it, too."""
    app, http = FastAPI(openapi_url=None), httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))
    app.add_api_route("/quotes", handler, methods=["POST"])
    how: dict[str, Any] = {"issuer": ISSUER, "audience": HERE, "journal": folder / "journal.jsonl", "http": http}
    guarded = guard(app, routes={("POST", "/quotes"): row}, **how)
    gate = CORSMiddleware(guarded, ["https://shop.example"], ["POST"])
    async with lifespan(gate), httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=HERE) as client:
        return await client.request(
            **{"method": "POST", "url": "/quotes", "headers": bearer(issuer.token(**plain_claims())), **sent}
        )


async def test_what_runs_after_the_answer_is_still_the_call(issuer: Issuer, tmp_path: Path) -> None:
    whose = list[str]()

    def handler(after: BackgroundTasks) -> str:
        after.add_task(lambda: whose.append(current_principal().subject))
        return current_principal().subject

    answer = await answered(issuer, tmp_path, handler, Scope("quote.read", thread=True))

    assert (answer.json(), whose) == ("alice", ["alice"])


async def test_a_refusal_inside_a_librarys_exception_keeps_its_status(issuer: Issuer, tmp_path: Path) -> None:
    async def handler() -> None:
        raise RuntimeError("the model failed") from Denied(Reason.WOULD_WIDEN)

    answer = await answered(issuer, tmp_path, handler, Scope("quote.read"))

    assert (answer.status_code, answer.json()["reason"]) == (403, "would_widen")
    assert "would_widen" in (tmp_path / "journal.jsonl").read_text()


async def test_uploads_and_arrays_reach_a_handler_whose_row_says_so(issuer: Issuer, tmp_path: Path) -> None:
    async def upload(file: UploadFile) -> int:
        return len(await file.read())

    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    row = Scope("quote.read", raw_body=True, max_body=20_000)
    large = await answered(issuer, tmp_path / "a", upload, row, files={"file": b"x" * 10_000})
    array = await answered(issuer, tmp_path / "b", add, row, json=[1, 2])
    other = await answered(issuer, tmp_path / "c", add, Scope("quote.read"), json=[1, 2])

    assert (large.json(), array.json(), other.json()["reason"]) == (10_000, 3, "malformed_body")


async def test_a_browser_may_ask_first_where_cors_is_around_the_gate(issuer: Issuer, tmp_path: Path) -> None:
    async def handler() -> None:
        """It is not reached."""

    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    answer = await answered(issuer, tmp_path, handler, Scope("quote.read"), method="OPTIONS", headers=asks)

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
