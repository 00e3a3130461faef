"""What a route requires, and that the gate's table finds it by the matching of the application's own router."""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import FrozenInstanceError, replace
from functools import partial, wraps
from inspect import isclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Served
from starlette.types import Scope as HttpScope

from tests.support.issuer import Issuer
from tests.support.system import System
from zerotrust.routes import UNLISTED, MutualTLS, Need, Public, Requirement, Routes, Scope
from zerotrust.routing import RouteTable
from zerotrust.service import Service
from zerotrust.tool.mcp_tools import McpTools

READ, WRITE = Scope("quote.read"), Scope("quote.write")


def test_every_workload_is_said_and_never_meant() -> None:
    assert MutualTLS({"agent/a"}).admits("agent/a")
    assert not MutualTLS({"agent/a"}).admits("agent/b")
    assert MutualTLS(any_workload=True).admits("agent/b")
    with pytest.raises(ValueError, match="any_workload=True"):
        MutualTLS()
    with pytest.raises(ValueError, match="any_workload=True"):
        MutualTLS({"agent/a"}, any_workload=True)


def test_no_token_and_no_certificate_opens_what_takes_none() -> None:
    for closed in Requirement(), Public(), MutualTLS(any_workload=True):
        assert closed.need_before_body("/x", {"quote.read"}) == closed.need("/x", (), {}) == Need((), "/x")
    for closed in Requirement(), Public(), READ, McpTools({"read": "tool.read"}):
        assert not closed.admits("agent/a")


def test_a_scope_is_needed_and_named_whatever_the_body_says() -> None:
    assert READ.need_before_body("/x", set()) == READ.need("/x", (), {"a": 1}) == Need(("quote.read",), "/x")
    assert (READ.hint, McpTools({"read": "tool.read"}).hint, Public().hint) == ("quote.read", None, None)


def test_a_body_may_be_as_large_as_the_route_says() -> None:
    said = Scope("a.b", max_body=1), MutualTLS({"a"}, max_body=2), Public(max_body=3), McpTools({}, max_body=4)
    assert [it.max_body for it in said] == [1, 2, 3, 4]
    assert [it.max_body for it in (READ, MutualTLS({"a"}), Public(), McpTools({}))] == [4096, 4096, 16384, 524288]


def test_a_table_stays_what_it_was() -> None:
    tools, names, routes = {"read": "tool.read"}, {"agent/a"}, dict[tuple[str, str], Requirement]()
    routes["POST", "/mcp"], routes["GET", "/card"] = McpTools(tools), MutualTLS(names)
    table = table_of(routes)
    tools["erase"] = "tool.read"
    names.add("agent/b")
    routes["GET", "/more"] = Public()

    assert table.find(asked("GET", "/more")) is UNLISTED
    assert not table.find(asked("GET", "/card")).requires.admits("agent/b")
    found = table.find(asked("POST", "/mcp")).requires
    assert isinstance(found, McpTools)
    assert "erase" not in found.tools
    with pytest.raises(FrozenInstanceError):
        found.tools = {}  # type: ignore[misc]


TABLE: Routes = {
    ("GET", "/quotes"): READ,
    ("GET", "/quotes/open"): Public(),
    ("GET", "/quotes/{number}"): READ,
    ("PUT", "/quotes/{number}"): WRITE,
    ("GET", "/files/{name:path}"): READ,
    ("POST", "/files/{name:path}/share"): WRITE,
    ("GET", "/pages/{number:int}"): READ,
}


@pytest.mark.parametrize(
    ("method", "path", "row"),
    [
        ("GET", "/quotes", "GET /quotes"),
        ("GET", "/quotes/7", "GET /quotes/{number}"),
        ("GET", "/quotes/open", "GET /quotes/open"),
        ("PUT", "/quotes/open", "PUT /quotes/{number}"),
        ("GET", "/files/a/b", "GET /files/{name:path}"),
        ("GET", "/files/../quotes/open", "GET /files/{name:path}"),
        ("POST", "/files/a/share/share", "POST /files/{name:path}/share"),
        ("GET", "/pages/7", "GET /pages/{number:int}"),
        ("GET", f"/pages/{'7' * 5000}", None),  # Python converts no number of so many digits
        ("POST", "/files/a", None),
        ("HEAD", "/quotes", None),
        ("get", "/quotes", None),
        ("GET", "/quotes/", None),
        ("GET", "/quotes/7/", None),
        ("GET", "/quotes/7/8", None),
        ("GET", "/quotes/../quotes", None),
        ("GET", "//quotes", None),
        ("GET", "/Quotes", None),
        ("GET", "/quotes?open", None),
        ("GET", "", None),
    ],
)
def test_what_the_router_would_run_is_found_and_nothing_else(method: str, path: str, row: str | None) -> None:
    found = table_of(TABLE).find(asked(method, path))

    assert (None if found is UNLISTED else found.name) == row


async def handler() -> None:
    """Do nothing."""


def app_of(*routes: tuple[str, str]) -> FastAPI:
    app = FastAPI(openapi_url=None)
    for method, path in routes:
        app.add_api_route(path, handler, methods=[method])
    return app


def table_of(routes: Routes) -> RouteTable:
    return RouteTable(routes, app_of(*routes))


def asked(method: str, path: str) -> HttpScope:
    return {"type": "http", "method": method, "path": path, "headers": []}


def with_more(add: Callable[[FastAPI], object]) -> FastAPI:
    """The app of the table, with something more."""
    app = app_of(*TABLE)
    add(app)
    return app


def included(app: FastAPI) -> None:
    router = APIRouter(prefix="/quotes")
    router.add_api_route("/export", handler)
    app.include_router(router, prefix="/v1")


OTHERS: dict[str, Callable[[FastAPI], object]] = {
    "GET /quotes/export is served": lambda app: app.add_api_route("/quotes/export", handler),
    "PATCH /quotes is served": lambda app: app.add_api_route("/quotes", handler, methods=["PATCH"]),
    "DELETE /quotes is served": lambda app: app.add_api_route("/quotes", handler, methods=["GET", "DELETE"]),
    "/v1/quotes/export is served": included,
    "/more/{path:path} is served": lambda app: app.mount("/more", Starlette()),
    " is served": lambda app: app.host("elsewhere.test", Starlette()),
    "/stream is served": lambda app: app.add_api_websocket_route("/stream", handler),
    "/any is served": lambda app: app.router.routes.append(Served("/any", Starlette())),
    "another path": lambda app: setattr(app, "root_path", "/quotes"),
}


@pytest.mark.parametrize("why", OTHERS)
def test_an_app_that_serves_what_is_not_in_the_table_is_not_guarded(why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        RouteTable(TABLE, with_more(OTHERS[why]))


class Blocking(HTTPEndpoint):
    def get(self, _request: Request) -> Response:
        raise NotImplementedError


class Awaited(HTTPEndpoint):
    async def get(self, _request: Request) -> Response:
        raise NotImplementedError


def blocking() -> None:
    """Do nothing, in a thread."""


async def streaming() -> AsyncIterator[int]:
    yield 1


class Called:
    def __call__(self) -> None:
        """Do nothing, in a thread."""


ENDED = [handler, partial(handler), wraps(blocking)(handler), Awaited, streaming]
IN_A_THREAD = [blocking, partial(blocking), wraps(blocking)(lambda: None), Blocking, Called()]


@pytest.mark.parametrize("served", [*ENDED, *IN_A_THREAD])
def test_a_handler_that_runs_in_a_thread_is_refused_for_nobody_could_end_it(served: Any) -> None:
    app = FastAPI(openapi_url=None)
    if isclass(served):
        app.router.routes.append(Served("/slow", served))
    else:
        app.add_api_route("/slow", served)

    if served in ENDED:
        assert RouteTable({("GET", "/slow"): READ}, app).find(asked("GET", "/slow")).requires == READ
    else:
        with pytest.raises(ValueError, match="the handler of /slow is def, and its thread cannot be cut off"):
            RouteTable({("GET", "/slow"): READ}, app)
        row = replace(READ, thread=True)
        assert RouteTable({("GET", "/slow"): row}, app).find(asked("GET", "/slow")).requires == row


def test_what_cannot_be_guarded_is_named() -> None:
    other: Any = handler
    with pytest.raises(ValueError, match=r'guard Starlette\(routes=\[Mount\("/", app\)\]\)'):
        RouteTable({}, other)
    text: Any = "quote.read"
    with pytest.raises(ValueError, match=r"\('GET', '/'\): write Scope\('quote.read'\)"):
        RouteTable({("GET", "/"): text}, app_of())
    app = app_of()
    RouteTable({}, app)
    with pytest.raises(AttributeError, match="add all routes before the app is guarded, and none in its lifespan"):
        app.add_api_route("/late", handler)


def test_the_pages_that_fastapi_adds_must_be_in_the_table_as_well_and_each_row_must_be_served() -> None:
    for pages in FastAPI(), FastAPI(docs_url=None, redoc_url=None):
        with pytest.raises(ValueError, match=re.escape("GET /openapi.json is served")):
            RouteTable({}, pages)
    with pytest.raises(ValueError, match=r"not served: \[\('GET', '/nowhere'\), \('PUT', '/quotes'\)\]"):
        RouteTable({**TABLE, ("GET", "/nowhere"): READ, ("PUT", "/quotes"): READ}, app_of(*TABLE))


def test_an_included_router_and_a_mounted_app_have_rows_of_their_own() -> None:
    app = app_of()
    included(app)
    app.mount("/more", Starlette())
    table = RouteTable({("GET", "/v1/quotes/export"): READ, ("GET", "/more/{path:path}"): WRITE}, app)

    assert table.find(asked("GET", "/v1/quotes/export")).requires == READ
    assert table.find(asked("GET", "/more/a/b")).requires == WRITE
    assert table.find(asked("POST", "/more/a/b")) is UNLISTED
    assert table.find(asked("GET", "/quotes/export")) is UNLISTED


def test_a_guarded_app_takes_no_more_routes() -> None:
    app = app_of(*TABLE)
    table = RouteTable(TABLE, app)
    with pytest.raises(AttributeError):
        app.add_api_route("/{any}", handler)
    app.router.routes = [Served("/{any}", Starlette()), *app.routes]
    with pytest.raises(RuntimeError, match="other routes"):
        table.find(asked("GET", "/quotes"))


def test_an_exact_path_is_looked_for_again_where_an_included_router_may_grow() -> None:
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/v1/quotes", handler)
    app.include_router(router)
    app.add_api_route("/quotes", handler)
    table = RouteTable({("GET", "/v1/quotes"): READ, ("GET", "/quotes"): READ}, app)
    assert table.find(asked("GET", "/quotes")).requires == READ
    router.add_api_route("/{any}", handler)
    assert table.find(asked("GET", "/quotes")) is UNLISTED


def test_under_a_prefix_of_the_server_the_route_is_found_that_the_router_runs() -> None:
    """The router takes the prefix away first (`root_path` of the scope), and so does a mounted app's."""
    rows: Routes = {("GET", "/shop/quotes"): Public(), ("GET", "/quotes"): READ}
    table = RouteTable(rows, app_of(*rows))

    assert table.find(asked("GET", "/shop/quotes")).requires == Public()
    assert table.find({**asked("GET", "/shop/quotes"), "root_path": "/shop"}).requires == READ


def test_an_app_that_would_serve_an_exact_path_by_a_template_is_not_guarded(tmp_path: Path, issuer: Issuer) -> None:
    service = System(tmp_path, issuer.registry, issuer, Service, time.time).service("inference")
    routes: Routes = {("GET", "/quotes/open"): Public(), ("GET", "/quotes/{number}"): READ}
    service.guard(app_of(*routes), routes)

    with pytest.raises(ValueError, match=r"GET /quotes/open is served by /quotes/\{number\}"):
        service.guard(app_of(*[*routes][::-1]), routes)
