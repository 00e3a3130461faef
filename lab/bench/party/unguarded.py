"""A service without any security, to measure against: the same handlers and SDKs, and nothing round them."""

from collections.abc import Hashable
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from zerotrust.context import PRINCIPAL, TRACE, Span
from zerotrust.decision import Decision, Reason, Resource
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.routes import Routes
from zerotrust.service import Service
from zerotrust.testing import principal

DEPARTMENT = "/engineering"
ANYBODY = principal(groups=frozenset({DEPARTMENT}))
"""Whoever calls: handlers want a caller to work for."""


class _Everything(dict[Hashable, float]):
    """Whoever answers anywhere was checked, for good."""

    def get(self, *_asked: object) -> float:
        return float("inf")


class Unguarded(Service):
    """Everybody is let in, every answer is yes, no call carries a token, nothing is written down."""

    def __init__(self, name: str, **parts: Any) -> None:
        super().__init__(name, **parts)
        self.checked = _Everything()
        self.egress.http.event_hooks = {}
        self.egress.mcp_http.event_hooks = {}

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:  # noqa: ARG002
        """Let everybody in; handlers find what they read from the context, and nobody has looked at it."""

        async def open_door(scope: Scope, receive: Receive, send: Send) -> None:
            TRACE.set(Span())
            PRINCIPAL.set(ANYBODY)
            await app(scope, receive, send)

        return open_door

    async def exchange(self, audience: str, *scopes: str, **wishes: Any) -> ExchangedToken:  # noqa: ARG002
        """A token that nobody asks for."""
        return ExchangedToken(self.registry.id(audience), "", float("inf"), "")

    async def decision(self, action: str, resource: Resource) -> Decision:  # noqa: ARG002
        """Yes."""
        return Decision(allowed=True, reason=Reason.GRANTED)

    def department(self, named: str | None = None) -> str:  # noqa: ARG002
        """The one of anybody."""
        return DEPARTMENT

    def permits(self, action: str, resource: Resource) -> bool:  # noqa: ARG002
        """Yes."""
        return True

    def may_use(self, permission: str) -> bool:  # noqa: ARG002
        """Yes."""
        return True
