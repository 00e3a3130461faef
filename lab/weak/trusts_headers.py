"""A confused deputy: a service that takes the user from headers of the caller, as behind a trusted proxy."""

from dataclasses import replace
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust.context import REQUEST, current_principal
from zerotrust.routes import Routes
from zerotrust.service import Service


class BelievesHeaders(Service):
    """Takes the user and the department from headers, if there are any."""

    instead_of: ClassVar = "zerotrust/context.py current_principal"

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        app.add_middleware(_renaming)
        return super().guard(app, routes, **how)


def _renaming(app: ASGIApp) -> ASGIApp:
    async def renamed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "x-user" in (headers := Headers(scope=scope)):
            groups = frozenset({headers["x-groups"]})
            principal = replace(current_principal(), subject=headers["x-user"], groups=groups)
            REQUEST.set(replace(REQUEST.get(), principal=principal))
        await app(scope, receive, send)

    return renamed
