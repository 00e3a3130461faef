"""A service without security, as the baseline: the same handlers and SDKs, without a gate."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from testkit import principal
from zerotrust.audit.event_parts import Effect
from zerotrust.context import REQUEST, RequestContext
from zerotrust.decision import Resource
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.revocation import Revocations
from zerotrust.routes import Routes
from zerotrust.service import Service

T = TypeVar("T")

DEPARTMENT = "/engineering"
ANYBODY = principal(groups=frozenset({DEPARTMENT}), scopes=frozenset({"model.read", "llama.models"}), expires_at=2**40)
"""The caller of every request, because handlers need one; nothing that they present ends."""


class _Everything(dict[Hashable, float]):
    """Contains every key: every peer counts as checked."""

    def get(self, *_asked: object) -> float:
        return float("inf")


class NobodyRevoked(Revocations):
    """News of a party without security: a service listens once its news are fresh, and this party follows none."""

    fresh = True


class Unguarded(Service):
    """Admits every call and permits everything; calls carry no token, and nothing is recorded."""

    def __init__(self, name: str, **parts: Any) -> None:
        super().__init__(name, **parts)
        self.checked = _Everything()
        self.egress.http.event_hooks = {}
        self.egress.mcp_http.event_hooks = {}

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:  # noqa: ARG002
        """Admit every call; the context has what handlers read, but nothing was verified."""

        async def open_door(scope: Scope, receive: Receive, send: Send) -> None:
            REQUEST.set(RequestContext(principal=ANYBODY))
            await app(scope, receive, send)

        return open_door

    async def exchange(self, audience: str, *scopes: str, **wishes: Any) -> ExchangedToken:  # noqa: ARG002
        return ExchangedToken(self.registry.id(audience), "", float("inf"), "")

    async def decide(
        self, action: str, resource: Resource, *, otherwise: Exception | None = None, effect: Effect | None = None
    ) -> None:
        """Yes."""

    def department(self, named: str | None = None) -> str:  # noqa: ARG002
        return DEPARTMENT

    async def permitted(
        self,
        action: str,  # noqa: ARG002
        things: Iterable[T],
        as_resource: Callable[[T], Resource],  # noqa: ARG002
        *,
        scope: str = "",  # noqa: ARG002
    ) -> list[T]:
        return [*things]

    async def usable(self, permissions: Iterable[str]) -> frozenset[str]:
        return frozenset(permissions)
