"""X. Services that a stranger builds with the library: plausible code, and a way past its gate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from testkit import Guarded, Issuer, guarded
from testkit.issuer import ISSUER
from testkit.wire import FOREVER, Wire, lifespan
from tests.support.attack import Attempt, Scene, Tries, answering_with, attack, reasons
from tests.support.bound import FRONTEND, OTHER, claims, serving
from tests.support.existing_service import HERE, ROUTES, bearer, existing, plain_claims
from tests.support.records import records
from tests.support.system import registry
from zerotrust import Callee, current_principal, guard, run_in_background
from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, Resource
from zerotrust.hardening.in_flight import OF_A_PERSON
from zerotrust.identity import Principal
from zerotrust.routes import MutualTLS, Public, Routes, Scope
from zerotrust.service import Service
from zerotrust.spiffe.svid import Peer
from zerotrust.standalone.any_issuer import ByScope
from zerotrust.transport.egress import calling_with

HEALTH: Routes = {("GET", "/health"): Public()}
PAGES: Routes = {("POST", "/pages/publish"): Scope("page.write"), ("POST", "/pages/{page}"): Public(), **HEALTH}
ANY_PAGE: Routes = {("POST", "/pages"): Scope("page.write"), ("GET", "/{page}"): Public()}


def app_with(app: FastAPI, *paths: str) -> FastAPI:
    """The app, with a handler at each path that says where it is."""
    for path in paths:

        async def handler(path: str = path) -> dict[str, str]:
            return {"ran": path}

        app.add_api_route(path, handler, methods=["POST"])
    return app


async def got(
    scene: Scene, create_app: Callable[[Service], ASGIApp], path: str, method: str = "POST", *, token: bool = False
) -> Attempt:
    """Ask such a service, with a token or without any, for what it may not do; tell whether it ran."""
    data = Path(mkdtemp(dir=scene.place))
    try:
        async with guarded("agent/pages", create_app, data=data, scopes=["page.write"]) as pages:
            answer = await pages.client(pages.token() if token else None).request(method, path)
    except (ValueError, TypeError) as error:
        return Attempt("not guarded", succeeded=False, recorded=[str(error)], reason=str(error))
    found = reasons(records(data / "journal.jsonl", by_certificate=True))
    return Attempt(str(answer.status_code), succeeded=answer.status_code == 200, recorded=found)


@attack(210, Scene)
async def test_a_path_with_a_control_character_that_the_router_takes_for_another_one(scene: Scene) -> Tries:
    """A pattern that ends with `$` matches before a newline as well."""

    def create_app(service: Service) -> ASGIApp:
        return service.guard(app_with(service.app(), "/pages/publish", "/pages/{page}"), PAGES)

    tried = await got(scene, create_app, "/pages/publish%0A")
    tried.reason = Reason.MALFORMED_PATH
    yield tried


@attack(211, Scene)
async def test_a_route_in_no_row_under_a_template_that_is_in_one(scene: Scene) -> Tries:
    def forgotten(service: Service) -> ASGIApp:
        app = app_with(service.app(), "/pages/export", "/pages/publish", "/pages/{page}")
        return service.guard(app, PAGES)

    def documented(service: Service) -> ASGIApp:
        return service.guard(app_with(FastAPI(), "/pages"), ANY_PAGE)

    def added(service: Service) -> ASGIApp:
        app = app_with(service.app(), "/pages/new")
        gate = service.guard(app, {("POST", "/pages/new"): Public(), **HEALTH})
        app.router.routes = app_with(FastAPI(openapi_url=None), "/pages/{page}").routes
        return gate

    by = "served-routes-listed and first-route-that-matches (with a row)"
    yield (await got(scene, forgotten, "/pages/export")).stopped_by(by)
    yield (await got(scene, documented, "/openapi.json", "GET")).stopped_by(by)
    later = await got(scene, added, "/pages/new")
    later.reason = Reason.FAILED
    yield later.stopped_by("routes-closed")


@attack(212, Scene)
async def test_a_service_that_drops_its_gate(scene: Scene) -> Tries:
    def create_app(service: Service) -> ASGIApp:
        app = app_with(service.app(), "/pages/publish", "/pages/{page}")
        service.guard(app, PAGES)
        return app

    yield await got(scene, create_app, "/pages/publish")


@attack(213, Scene)
async def test_a_handler_that_does_not_look_at_what_was_decided(scene: Scene) -> Tries:
    def create_app(service: Service) -> ASGIApp:
        app = service.app()

        @app.post("/pages")
        async def publish() -> dict[str, bool]:
            await service.decide("page.publish", Resource("Page", "of somebody else"))
            return {"published": True}

        return service.guard(app, {("POST", "/pages"): Scope("page.write"), **HEALTH})

    tried = await got(scene, create_app, "/pages", token=True)
    tried.reason = Reason.POLICY_ERROR
    yield tried


async def sent(
    scene: Scene,
    service: FastAPI | None = None,
    *,
    engine: PolicyEngine | None = None,
    headers: dict[str, str] | None = None,
    **changed: Any,
) -> Attempt:
    """Send a token with these claims to a service that is guarded for any issuer."""
    issuer, folder = Issuer(registry()), Path(mkdtemp(dir=scene.place))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))
    how: dict[str, Any] = {"issuer": ISSUER, "audience": HERE, "engine": engine, "http": http}
    app = guard(service or existing(), routes=ROUTES, journal=(file := folder / "journal.jsonl"), **how)
    given = bearer(issuer.token(**plain_claims(**changed))) | (headers or {})
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        answer = await client.get("/quotes/tea", headers=given)
    found = reasons(records(file, by_certificate=True))
    reason = "" if answer.status_code == 200 else answer.json()["reason"]
    return Attempt(str(answer.status_code), succeeded=answer.status_code == 200, recorded=found, reason=reason)


@attack(490, Scene)
async def test_a_token_of_another_issuer_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    yield await sent(scene, iss="https://another.test")


@attack(491, Scene)
async def test_a_token_for_another_service_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    for audience in "https://another.example", ["https://another.example"], f"{HERE}/", []:
        yield await sent(scene, aud=audience)


@attack(492, Scene)
async def test_a_token_with_two_clients_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    yield await sent(scene, azp="another")


@attack(493, Scene)
async def test_a_bound_token_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    for bound in {"jkt": "A" * 43}, {"x5t#S256": "A" * 43}, {}:
        yield await sent(scene, cnf=bound)
        yield await sent(scene, zt_cnf=bound)


@attack(494, Scene)
async def test_a_token_without_the_scope_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    for scope in "", "quote.write", "quote.read.all", "QUOTE.READ":
        yield await sent(scene, scope=scope)


@attack(495, Scene)
async def test_a_route_for_certificates_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    for row in MutualTLS({"agent/quotes"}), MutualTLS(any_workload=True):
        app = app_with(FastAPI(openapi_url=None), "/internal")
        journal = Path(mkdtemp(dir=scene.place)) / "journal.jsonl"
        try:
            gate = guard(app, issuer=ISSUER, audience=HERE, routes={("POST", "/internal"): row}, journal=journal)
        except ValueError as error:
            yield Attempt("not guarded", succeeded=False, recorded=[str(error)], reason=str(error))
            continue
        async with lifespan(gate), httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=HERE) as client:
            answer = await client.post("/internal")
        yield Attempt(str(answer.status_code), succeeded=answer.status_code == 200, recorded=[], reason="")


@attack(496, Scene)
async def test_a_token_of_an_agent_at_a_service_for_any_issuer(scene: Scene) -> Tries:
    for actor in {"sub": "agent"}, {}:
        yield await sent(scene, act=actor)


def rewriting(app: ASGIApp) -> ASGIApp:
    """Middleware as frameworks have it: headers say another method and path."""

    async def rewritten(scope: Any, receive: Any, send: Any) -> None:
        if given := dict(scope.get("headers", ())).get(b"x-rewrite"):
            scope["method"], scope["path"] = given.decode().split()
        await app(scope, receive, send)

    return rewritten


@attack(497, Scene)
async def test_a_header_by_which_middleware_rewrites_the_request(scene: Scene) -> Tries:
    app = existing()
    app.add_middleware(rewriting)
    yield await sent(scene, app, headers={"x-rewrite": "POST /v1/quotes"})


class Anything(ByScope):
    """An engine that permits all."""

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:  # noqa: ARG002
        return Decision(allowed=True, reason=Reason.GRANTED)


@attack(498, Scene)
async def test_another_engine_that_permits_what_no_scope_does(scene: Scene) -> Tries:
    yield await sent(scene, engine=Anything(), scope="")


async def presented(
    scene: Scene, peer: str, *, inactive: bool = False, chain_claim: str | None = "act", **changed: Any
) -> Attempt:
    """Present a token with these claims at a service that is bound to workloads."""
    issuer, folder = Issuer(registry()), Path(mkdtemp(dir=scene.place))
    token = issuer.token(**claims(jti="one", **changed))
    issuer.inactive |= {"one"} if inactive else set()
    async with serving(issuer, folder, chain_claim=chain_claim) as ask:
        answer = await ask(token, peer)
    found = reasons(records(folder / "journal.jsonl", by_certificate=True))
    reason = answer.json().get("reason", "")
    return Attempt(str(answer.status_code), succeeded=answer.status_code == 200, recorded=found, reason=reason)


@attack(520, Scene)
async def test_a_token_that_another_workload_stole(scene: Scene) -> Tries:
    yield await presented(scene, OTHER)
    yield await presented(scene, FRONTEND, client_id="other")


@attack(521, Scene)
async def test_a_token_that_its_issuer_has_ended(scene: Scene) -> Tries:
    yield await presented(scene, FRONTEND, inactive=True)


@attack(522, Scene)
async def test_a_token_of_an_agent_where_none_may_act(scene: Scene) -> Tries:
    for actor in "shop", FRONTEND:
        yield await presented(scene, FRONTEND, chain_claim=None, act={"sub": actor})


@attack(523, Scene)
async def test_a_chain_that_another_workload_heads(scene: Scene) -> Tries:
    for actor in "other", OTHER, "planner":
        yield await presented(scene, FRONTEND, act={"sub": actor, "act": {"sub": "shop"}})


@attack(524, Scene)
async def test_two_clients_that_are_one_workload(scene: Scene) -> Tries:
    yield await started(scene, callers={"other": FRONTEND, "shop": FRONTEND})


@attack(525, Scene)
async def test_a_client_named_as_a_workload_that_may_call(scene: Scene) -> Tries:
    yield await presented(scene, FRONTEND, client_id=FRONTEND)


async def started(scene: Scene, **how: Any) -> Attempt:
    """Start a service that is bound to workloads."""
    try:
        async with serving(Issuer(registry()), Path(mkdtemp(dir=scene.place)), **how):
            return Attempt("started", succeeded=True)
    except ValueError as error:
        return Attempt("not started", succeeded=False, recorded=[str(error)], reason=str(error))


@attack(526, Scene)
async def test_a_client_without_a_certificate_named_as_anothers_workload(scene: Scene) -> Tries:
    yield await started(scene, callers={"shop": FRONTEND, FRONTEND: None})


@attack(527, Scene)
async def test_two_services_at_one_name(scene: Scene) -> Tries:
    yield await started(scene, calls={"a": Callee("https://x.test", OTHER), "b": Callee("https://x.test:1", FRONTEND)})


def with_sessions() -> FastAPI:
    """A protocol with sessions, as MCP had: a task that the first call begins runs what later calls send."""
    app, sent, kept = FastAPI(openapi_url=None), asyncio.Queue[asyncio.Future[str]](), list[asyncio.Task[None]]()

    async def session() -> None:
        while True:
            answer = await sent.get()
            try:
                answer.set_result(current_principal().subject)
            except Denied as refusal:
                answer.set_result(refusal.reason)

    @app.post("/begin")
    async def begin() -> None:
        kept.append(asyncio.create_task(session()))

    @app.post("/call")
    async def call() -> str:
        await sent.put(answer := asyncio.get_running_loop().create_future())
        return str(await answer)

    return app


@attack(540, Scene)
async def test_a_session_that_another_user_has_begun(scene: Scene) -> Tries:
    issuer, journal = Issuer(registry()), scene.place / "journal.jsonl"
    http = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))
    routes = {("POST", path): Scope("quote.read") for path in ("/begin", "/call")}
    app = guard(with_sessions(), issuer=ISSUER, audience=HERE, routes=routes, journal=journal, http=http)
    async with lifespan(app):
        client = httpx.AsyncClient(transport=Wire({HERE: app}, Peer(None, FOREVER)), base_url=HERE)
        await client.post("/begin", headers=bearer(issuer.token(**plain_claims(sub="alice"))))
        answer = (await client.post("/call", headers=bearer(issuer.token(**plain_claims(sub="bob"))))).json()
    yield Attempt(answer, succeeded=answer == "alice")


@asynccontextmanager
async def called_once(scene: Scene, act: Callable[[Service], Awaitable[object]]) -> AsyncIterator[Guarded]:
    """A party, of which alice has made one call, which did this and has ended."""

    def create_app(service: Service) -> ASGIApp:
        app = service.app()

        @app.post("/pages")
        async def handler() -> None:
            await act(service)

        return service.guard(app, {("POST", "/pages"): Scope("page.write"), **HEALTH})

    data, calls = Path(mkdtemp(dir=scene.place)), {"tool/prices": ["price.read"]}
    async with guarded("agent/pages", create_app, data=data, scopes=["page.write"], calls=calls) as pages:
        pages.apps[pages.service.addresses["tool/prices"]] = answering_with(200, b"{}")
        assert (await pages.client(pages.token(scope="page.write price.read")).post("/pages")).status_code == 200
        yield pages


async def calls(service: Service) -> None:
    await service.egress.http.get(f"{service.addresses['tool/prices']}/")


@attack(541, Scene)
async def test_a_task_that_outlives_its_call(scene: Scene) -> Tries:
    acts: list[Callable[[Service], Awaitable[object]]] = [
        lambda _: asyncio.to_thread(current_principal),
        lambda service: service.exchange("tool/prices", "price.read"),
        lambda service: service.usable(["page.write"]),
        calls,
    ]
    ended, tasks = asyncio.Event(), list[asyncio.Task[object]]()

    async def later(service: Service, act: Callable[[Service], Awaitable[object]]) -> object:
        await ended.wait()
        return await act(service)

    async def begin(service: Service) -> None:
        with calling_with(await service.exchange("tool/prices", "price.read")):
            tasks.extend(asyncio.create_task(later(service, act)) for act in acts)

    async with called_once(scene, begin):
        ended.set()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            refused = isinstance(found, Denied) and found.reason is Reason.CALL_ENDED
            yield Attempt("call_ended" if refused else "done", succeeded=not refused)


@attack(542, Scene)
async def test_work_in_the_background_that_outlives_its_caller(scene: Scene) -> Tries:
    tasks = list[asyncio.Task[None]]()

    async def begin(_service: Service) -> None:
        tasks.append(await run_in_background("report", asyncio.Event().wait))

    with patch("zerotrust.lifetime.REVOCATION_GRACE", 0.0):
        for subject in ("user", "alice"), ("session", "session-1"):
            async with called_once(scene, begin) as pages:
                pages.revocations.change(1, subject, "a theft")
                done, _ = await asyncio.wait(tasks[-1:], timeout=5)
                tasks[-1].cancel()
            yield Attempt("cut off" if done else "goes on", succeeded=not done)


@attack(543, Scene)
async def test_a_user_who_has_work_begun_without_end(scene: Scene) -> Tries:
    tasks = list[asyncio.Task[None]]()

    async def begin(_service: Service) -> None:
        for _ in range(OF_A_PERSON + 1):
            tasks.append(await run_in_background("report", asyncio.Event().wait))

    try:
        async with called_once(scene, begin):
            yield Attempt("all of it begun", succeeded=True)
    except AssertionError:
        yield Attempt("refused", succeeded=len(tasks) >= OF_A_PERSON)
    for task in tasks:
        task.cancel()


@attack(544, Scene)
async def test_a_token_of_an_agent_in_another_claim(scene: Scene) -> Tries:
    for actor in {"sub": "agent"}, {}:
        yield await sent(scene, zt_act=actor)
        yield await presented(scene, FRONTEND, zt_act=actor)
        yield await presented(scene, FRONTEND, chain_claim=None, zt_act=actor)
        yield await presented(scene, FRONTEND, chain_claim="zt_act", act=actor)
