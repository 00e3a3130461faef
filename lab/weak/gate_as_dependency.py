"""Gates that look like one and leave a way round."""

from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Message

from zerotrust.call import Call
from zerotrust.context import PRINCIPAL, TRACE
from zerotrust.gate import Gate
from zerotrust.routes import Routes
from zerotrust.service import Service


class GateAsDependency(Service):
    """The gate as the framework's dependency, as many do it.

    FastAPI runs it on the routes it registers itself, and never on those that an SDK adds: there everybody is let in.
    """

    instead_of: ClassVar = "zerotrust/gate.py Gate, round everything"

    def app(self, *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
        """The app, whose every route declares the gate."""
        app = super().app(*resources)
        app.router.dependencies.append(Depends(self._admit))
        return app

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        """Leave the app as it is: its routes have the gate within."""
        gate = super().guard(app, routes, **how)
        assert isinstance(gate, Gate)  # noqa: S101 - for the type checker
        self._gate = gate
        return app

    async def _admit(self, request: Request) -> None:
        call = Call(request.scope, peer=request.scope["state"]["peer"])
        TRACE.set(call.span)
        with call.over:  # nothing is left to count it by until its end
            await self._gate._admit(call, _read_already)  # what it raises, the app answers
        if call.principal:
            PRINCIPAL.set(call.principal)


async def _read_already() -> Message:
    return {"type": "http.request"}
