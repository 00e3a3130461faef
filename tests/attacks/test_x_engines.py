"""X. Services that ask a decision point elsewhere, and decision points that answer whatever helps an attacker."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
from starlette.types import ASGIApp

from authzen.client import AuthZEN
from testkit import guarded
from testkit.party import Guarded
from tests.support.attack import Attempt, Scene, Tries, attack, reasons
from tests.support.records import records
from zerotrust.decision import Decision, PolicyEngine, Reason, Resource
from zerotrust.routes import Public, Routes, Scope
from zerotrust.service import Service

ROUTES: Routes = {("POST", "/pages"): Scope("page.write"), ("GET", "/health"): Public()}
PAGE = Resource("Page", "of somebody else")
YES = {"decision": True}
Pdp = Callable[[dict[str, Any]], tuple[int, Any]]
"""What a decision point answers to a question: a status and JSON."""


class Denying:
    """A policy engine elsewhere that denies everything but the use of an API."""

    version = "1"

    def decide(self, *_asked: object) -> Decision:
        return Decision(allowed=True, reason=Reason.GRANTED)

    def decide_on(self, *_asked: object) -> Awaitable[Decision]:
        decided = asyncio.get_running_loop().create_future()
        decided.set_result(Decision(allowed=False, reason=Reason.RESOURCE_DENIED))
        return decided

    def decide_each(self, *_asked: object) -> list[Decision]:
        return []


def asking(pdp: Pdp) -> AuthZEN:
    """The policy engine that asks this decision point."""

    def answer(request: httpx.Request) -> httpx.Response:
        status, body = pdp(json.loads(request.content))
        return httpx.Response(status, json=body, headers={"location": "https://pdp.test/"})

    return AuthZEN(httpx.AsyncClient(transport=httpx.MockTransport(answer)), "https://pdp.test")


async def published(
    scene: Scene, engine: PolicyEngine, *, scope: str = "page.write", after: Callable[[Guarded], None] | None = None
) -> Attempt:
    """Publish a page of somebody else at a service with this engine; tell whether it was published."""

    def create_app(service: Service) -> ASGIApp:
        app = service.app()
        service.decide_by(engine)

        @app.post("/pages")
        async def publish() -> dict[str, bool]:
            deciding = service.decide("page.publish", PAGE)
            if isinstance(engine, Denying):
                deciding.close()  # a forgotten `await`, and no warning of it
            else:
                await deciding
            return {"published": True}

        return service.guard(app, ROUTES)

    data = Path(mkdtemp(dir=scene.place))
    async with guarded("agent/pages", create_app, data=data, scopes=["page.write", "page.read"]) as pages:
        if after:
            after(pages)
        said = await pages.client(pages.token(scope=scope)).post("/pages")
    found, reason = reasons(records(data / "journal.jsonl")), said.json().get("reason")
    return Attempt(str(said.status_code), succeeded=said.status_code == 200, recorded=found, reason=reason)


def of_pages(answer: Any, status: int = 200) -> Pdp:
    """It permits the API, and gives this answer about a page."""
    return lambda told: (status, answer) if told["resource"]["type"] == "Page" else (200, YES)


@attack(366, Scene)
async def test_a_handler_that_does_not_await_a_decision(scene: Scene) -> Tries:
    yield await published(scene, Denying())


@attack(367, Scene)
async def test_something_like_a_yes(scene: Scene) -> Tries:
    for odd in ("true", 1, [True], {"decision": True}):
        yield await published(scene, asking(of_pages({"decision": odd})))


@attack(368, Scene)
async def test_a_yes_with_another_status(scene: Scene) -> Tries:
    for status in (307, 400, 403, 500):
        yield await published(scene, asking(of_pages(YES, status)))


@attack(369, Scene)
async def test_a_scope_that_the_token_lacks(scene: Scene) -> Tries:
    yield await published(scene, asking(lambda _told: (200, YES)), scope="page.read")


@attack(370, Scene)
async def test_a_right_that_is_revoked_while_it_is_asked_about(scene: Scene) -> Tries:
    party: list[Guarded] = []

    def pdp(told: dict[str, Any]) -> tuple[int, Any]:
        if told["resource"]["type"] == "Page":
            party[0].revocations.change(1, ("user", "alice"), "a test")
        return 200, YES

    yield await published(scene, asking(pdp), after=party.append)
