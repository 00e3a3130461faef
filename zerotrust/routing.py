"""Finds what a request requires, by the routes of the app behind the gate.

A router of the gate's own would differ from the app's somewhere: the gate would decide about one route, and the app run
another.  So the gate asks the app's own routes which one the router will run.  It asks for an exact path at the start,
after which the app takes no more routes, and for any other with each request.
"""

import re
from contextlib import suppress
from http import HTTPMethod
from inspect import isasyncgenfunction, isclass, iscoroutinefunction, unwrap
from typing import Any, NoReturn, cast

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Mount, compile_path
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.routes import UNLISTED, Requirement, Route, Routes

_BY_PATH = {StarletteRoute.matches, APIRoute.matches}
"""The methods that match a route by method and path alone.  An included router also depends on what is added later."""
_OF_FASTAPI = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
"""The pages that FastAPI serves unasked."""
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class _Closed(tuple[BaseRoute, ...]):
    """The routes of an app that is guarded: none can be added."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: add all routes before the app is guarded, and none in its lifespan")


class RouteTable:
    """Finds what a request requires: the row of the route that the app's own router runs for it."""

    def __init__(self, routes: Routes, app: Starlette) -> None:
        """Raise `ValueError` unless the app serves the table's routes and no others, each exact path by its own route.

        From then on the app takes no more routes: to add one raises `AttributeError`.
        """
        if not isinstance(app, Starlette):
            raise ValueError('not an app of Starlette or FastAPI: guard Starlette(routes=[Mount("/", app)])')
        if wrong := [f"{at}: write Scope({row!r})" for at, row in routes.items() if not isinstance(row, Requirement)]:
            raise ValueError("; ".join(wrong))
        self._rows = {(method, path): Route(f"{method} {path}", it) for (method, path), it in routes.items()}
        self._app = app
        self._closed = app.router.routes = cast("list[BaseRoute]", _Closed(app.routes))
        self._check_same_routes()
        app.router.middleware_stack = _as_decided(app.router.middleware_stack)  # type: ignore[assignment]
        self._exact = {(method, path): row for (method, path), row in self._rows.items() if not compile_path(path)[2]}
        for method, path in self._exact:
            scope = {"type": "http", "method": method, "path": path, "headers": []}
            if (by := _path(self._matching_route(scope))) != path:  # control: exact-path-first
                raise ValueError(f"{method} {path} is served by {by}: register the exact path first")
        if not all(type(it).matches in _BY_PATH for it in self._closed):
            self._exact = {}  # what was proven above may change

    def find(self, scope: Scope) -> Route:
        """Return the row for a request, or `UNLISTED`.  Raises `Denied` for a control character in a path.

        A pattern of the router that ends with `$` matches before a newline as well (Python's `re`).
        Raises `RuntimeError` if the app has other routes than at the start.
        """
        if self._app.router.routes is not self._closed:  # control: routes-closed
            raise RuntimeError("the app has been given other routes since it was guarded")
        if not scope.get("root_path") and (exact := self._exact.get((scope["method"], scope["path"]))):
            return exact  # with a prefix, the router looks for another path
        if _CONTROL_CHARACTER.search(scope["path"]):  # control: path-characters
            raise Denied(Reason.MALFORMED_PATH)
        # control: unlisted-route-closed
        return self._rows.get((scope["method"], _path(self._matching_route(scope)) or ""), UNLISTED)

    def _matching_route(self, scope: Scope) -> RouteContext | None:
        """Return the route that the app's router runs for a request: the first that matches."""
        with suppress(ValueError):  # a path that the router's own converter refuses, such as a number of 5,000 digits
            # control: first-route-that-matches
            return next((it for it in iter_route_contexts(self._closed) if it.matches(scope)[0] is Match.FULL), None)
        return None

    def _check_same_routes(self) -> None:
        """Raise one `ValueError` that names all that hinders, each with its repair."""
        if getattr(self._app, "root_path", ""):
            raise ValueError("an app with a root_path routes by another path than the gate sees")
        served, wrong = set[tuple[str, str]](), list[str]()
        for route in iter_route_contexts(self._app.routes):
            at = _path(route)
            own = {(method, path) for method, path in self._rows if path == at and method in (route.methods or method)}
            taken = own and all(self._rows[row].requires.thread for row in own)
            if not taken and route.endpoint and _runs_in_thread(route.endpoint):
                wrong.append(f"the handler of {at} is def, and its thread cannot be cut off: async def, or thread=True")
            missing = (route.methods or set()) - {"HEAD"} - {method for method, _ in own}
            if missing or not own:  # control: served-routes-listed
                methods = sorted(missing) or [""]
                repair = "FastAPI(openapi_url=None)" if at in _OF_FASTAPI else "add a row: Scope(…) or Public()"
                wrong.append(f"{' '.join(methods)} {at} is served, and not in the table: {repair}")
            served |= own
        if unserved := self._rows.keys() - served:
            wrong.append(f"in the table, and not served: {sorted(unserved)}")
        if wrong:
            raise ValueError("\n- ".join(["this app cannot be guarded:", *wrong]))


def routed_by(scope: Scope) -> tuple[str, str, str]:
    """Return what the router goes by."""
    return scope["method"], scope["path"], scope.get("root_path", "")


def _as_decided(router: ASGIApp) -> ASGIApp:
    """Return a router that runs no other route than the gate has decided about: middleware could rewrite a request.

    What a handler raises leaves it as the answer that it stands for.
    """

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        # control: routed-as-decided
        if scope["type"] == "http" and routed_by(scope) != getattr(REQUEST.get(None), "routed_by", None):
            raise Denied(Reason.NO_PERMISSION_FOR_ROUTE, "the app's middleware has changed method or path")
        try:
            await router(scope, receive, send)
        except Exception as error:
            if (answer := answer_in(error)) and answer is not error:
                raise answer from None
            raise

    return route


def answer_in(error: BaseException | None) -> Exception | None:
    """Return what a handler answers by this exception: the first of a task group that has only answers, or the refusal
    that a library's exception was raised from; None if it is a bug.
    """
    if isinstance(error, Denied | HTTPException):
        return error
    if isinstance(error, ExceptionGroup):
        answers = [answer_in(each) for each in error.exceptions]
        return answers[0] if all(answers) else None
    found = answer_in(error.__cause__) if error else None
    return found if isinstance(found, Denied) else None


def _runs_in_thread(handler: Any) -> bool:
    if isclass(handler):  # an `HTTPEndpoint` has a handler for each method
        handlers = (getattr(handler, method.lower(), None) for method in HTTPMethod)
        return any(_runs_in_thread(one) for one in handlers if one)
    ways = (handler, unwrap(handler), getattr(handler, "__call__", None))  # noqa: B004 - an object may be one
    return not any(iscoroutinefunction(way) or isasyncgenfunction(way) for way in ways)


def _path(route: RouteContext | None) -> str | None:
    """Return the path of a route as it was registered.  A mounted app is one route, whatever it serves."""
    if route and isinstance(route.original_route, Mount):
        return f"{route.path}/{{path:path}}"
    return route.path if route else None
