"""A gate that can be bypassed."""

from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Message

from zerotrust.call import Call
from zerotrust.context import REQUEST
from zerotrust.gate import Gate
from zerotrust.routes import Routes
from zerotrust.service import Service


class GateAsDependency(Service):
    """The gate as a dependency of the framework, which is common.

    FastAPI runs it for the routes that it registers itself, but not for those that an SDK adds: they are open.
    """

    instead_of: ClassVar = "zerotrust/gate.py Gate, round everything"

    def app(self, *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
        """Return the app, with the gate as a dependency of every route."""
        app = super().app(*resources)
        app.router.dependencies.append(Depends(self._admit))
        return app

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        """Return the app unchanged, because its routes have the gate as a dependency."""
        gate = super().guard(app, routes, **how)
        assert isinstance(gate, Gate)  # noqa: S101 - for the type checker
        self._gate = gate
        return app

    async def _admit(self, request: Request) -> None:
        call = Call(scope=request.scope, receive=_read_already, peer=request.scope["state"]["peer"])
        REQUEST.set(call)
        with call.over:  # it is not recorded when it ends
            await self._gate.admit(call)  # the app answers its exceptions


async def _read_already() -> Message:
    return {"type": "http.request"}
