"""What a route requires, and that the gate's table finds it by the matching of the application's own router."""

import time
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Match
from starlette.routing import Route as Served

from tests.support.attack import DOORS, REGISTRY, Watched
from tests.support.attack_registry import with_registry
from tests.support.issuer import Issuer
from tests.support.system import System
from zerotrust.adapters.mcp_tools import McpTools
from zerotrust.routes import UNLISTED, MutualTLS, Need, Public, Requirement, Routes, RouteTable, Scope
from zerotrust.service import Service

READ, WRITE = Scope("quote.read"), Scope("quote.write")


def test_every_workload_is_said_and_never_meant() -> None:
    assert MutualTLS({"agent/a"}).admits("agent/a")
    assert not MutualTLS({"agent/a"}).admits("agent/b")
    assert MutualTLS(any_workload=True).admits("agent/b")
    with pytest.raises(ValueError, match="any_workload=True"):
        MutualTLS()
    with pytest.raises(ValueError, match="any_workload=True"):
        MutualTLS({"agent/a"}, any_workload=True)


@pytest.mark.parametrize("requirement", [Requirement(), Public(), MutualTLS(any_workload=True)])
def test_no_token_opens_what_takes_none(requirement: Requirement) -> None:
    assert requirement.need_before_body("/x", {"quote.read"}) == requirement.need("/x", (), {}) == Need((), "/x")


@pytest.mark.parametrize("requirement", [Requirement(), Public(), READ, McpTools({"read": "tool.read"})])
def test_no_certificate_opens_what_takes_none(requirement: Requirement) -> None:
    assert not requirement.admits("agent/a")


def test_a_scope_is_needed_and_named_whatever_the_body_says() -> None:
    assert READ.need_before_body("/x", set()) == READ.need("/x", (), {"a": 1}) == Need(("quote.read",), "/x")
    assert (READ.hint, McpTools({"read": "tool.read"}).hint, Public().hint) == ("quote.read", None, None)


def test_a_body_may_be_as_large_as_the_route_says() -> None:
    requirements = (
        Scope("a.b", max_body=1),
        MutualTLS({"a"}, max_body=2),
        Public(max_body=3),
        McpTools({}, max_body=4),
    )
    assert [it.max_body for it in requirements] == [1, 2, 3, 4]
    assert [it.max_body for it in (READ, MutualTLS({"a"}), Public(), McpTools({}))] == [4096, 4096, 16384, 524288]


def test_a_table_stays_what_it_was() -> None:
    tools, names, routes = {"read": "tool.read"}, {"agent/a"}, dict[tuple[str, str], Requirement]()
    routes["POST", "/mcp"], routes["GET", "/card"] = McpTools(tools), MutualTLS(names)
    table = RouteTable(routes)
    tools["erase"] = "tool.read"
    names.add("agent/b")
    routes["GET", "/more"] = Public()

    assert table.find("GET", "/more") is UNLISTED
    assert not table.find("GET", "/card").requires.admits("agent/b")
    found = table.find("POST", "/mcp").requires
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
        ("GET", "/quotes\n", None),
        ("GET", "", None),
    ],
)
def test_an_exact_path_wins_then_a_template_and_nothing_else_is_found(method: str, path: str, row: str | None) -> None:
    found = RouteTable(TABLE).find(method, path)

    assert (None if found is UNLISTED else found.name) == row


def test_what_fits_two_templates_that_differ_is_in_no_row() -> None:
    table = RouteTable({("GET", "/a/{x}"): READ, ("GET", "/{y}/b"): WRITE, ("GET", "/{z}/c"): READ})

    assert table.find("GET", "/a/b") is UNLISTED
    assert table.find("GET", "/a/c").requires == READ
    assert table.find("GET", "/x/b").requires == WRITE

    literally = RouteTable({("GET", "/a/{x}"): READ, ("GET", "/{y}/{x}"): WRITE})
    assert literally.find("GET", "/a/{x}") is UNLISTED  # a template is no path of its own


def nothing() -> None:
    """A handler."""


def test_an_app_that_would_serve_an_exact_path_by_a_template_is_not_guarded(tmp_path: Path, issuer: Issuer) -> None:
    service = System(tmp_path, issuer.registry, issuer, Service, time.time).service("inference")
    routes: Routes = {("GET", "/quotes/open"): Public(), ("GET", "/quotes/{number}"): READ}
    good, bad = FastAPI(), FastAPI()
    for app, paths in ((good, [*routes]), (bad, [*routes][::-1])):
        for _, path in paths:
            app.add_api_route(path, nothing)

    good.mount("/more", Starlette())
    service.guard(good, {**routes, ("GET", "/more/x"): READ, ("GET", "/nowhere"): READ})  # not for it to say
    with pytest.raises(ValueError, match=r"GET /quotes/open is served by /quotes/\{number\}"):
        service.guard(bad, routes)


ODD = [
    "",
    "/",
    "//",
    "/.",
    "/..",
    "/../health",
    "/%2e%2e/health",
    "/%2fhealth",
    "/;x",
    "/a%0a",
    "/\x00",
    "/%00",
    "/?x",
    "/é",
]
"""What may come after a path, as it is sent."""


async def test_what_the_gate_finds_is_what_the_router_of_each_party_serves(tmp_path: Path, issuer: Issuer) -> None:
    """The same function for the same input: no spelling of a path is one route for the gate and another one behind."""
    compared = 0
    async with with_registry(tmp_path, issuer, Watched) as target:
        for party in (*DOORS, REGISTRY):
            watched = target.system.services[party]
            assert isinstance(watched, Watched)
            table = RouteTable(watched.required)
            paths = {
                path.replace("{name:path}", name)
                for _, path in watched.required
                for name in ("agent/reader", "x", "..")
            }
            for path in {unquote(path + odd) for path in paths for odd in ODD}:
                for method in ("GET", "POST"):
                    served, found = _served(watched.app_routes, method, path), table.find(method, path)
                    if found is not UNLISTED and served is not None:
                        assert found.name == f"{method} {served}", (party, path)
                        compared += 1

    assert compared > 100


def _served(routes: list[Any], method: str, path: str) -> str | None:
    """The path, as it was registered, of the route that a router takes; None for a mounted application."""
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    first = next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)
    return first.path if isinstance(first, Served) else None
