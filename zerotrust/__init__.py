'''The library that every service here is built from: verify, decide, record, narrow, act.  A whole party:

    """Quotes: answers with a price, to users who may read them."""

    from starlette.types import ASGIApp

    from zerotrust import Public, Scope, Service, current_principal, run

    ROUTES = {("GET", "/quotes/{item}"): Scope("quote.read"), ("GET", "/health"): Public()}


    def create_app(service: Service) -> ASGIApp:
        """Return the app behind its gate."""
        app = service.app()

        @app.get("/quotes/{item}")
        async def quote(item: str) -> dict[str, str | int]:
            return {"item": item, "price": len(item), "for": current_principal().subject}

        return service.guard(app, ROUTES)


    if __name__ == "__main__":
        run("agent/quotes", create_app)

The gate has verified the token, decided, and put both on record before `quote` runs; an app with a route that is not in
the table is not guarded.  `service.exchange` narrows the token for the next hop.  `testkit` has what tests need.
'''

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotrust.context import current_principal as current_principal
    from zerotrust.decision import Denied as Denied
    from zerotrust.decision import Reason as Reason
    from zerotrust.decision import Resource as Resource
    from zerotrust.routes import Public as Public
    from zerotrust.routes import Routes as Routes
    from zerotrust.routes import Scope as Scope
    from zerotrust.runtime import run as run
    from zerotrust.service import Service as Service
    from zerotrust.standalone.any_issuer import guard as guard
    from zerotrust.standalone.bound_service import BoundService as BoundService
    from zerotrust.standalone.bound_service import Callee as Callee

VERSION = "0.1.0"
"""The project's version, as in `pyproject.toml`, which is not among the measured folders that a launched party sees."""

_MODULES = {
    "context": "current_principal",
    "decision": "Denied Reason Resource",
    "routes": "Public Routes Scope",
    "runtime": "run",
    "service": "Service",
    "standalone.any_issuer": "guard",
    "standalone.bound_service": "BoundService Callee",
}
"""Where each public name is."""
_WHERE = {name: f"zerotrust.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = ["VERSION", *_WHERE]  # noqa: PLE0604 - strings, all of them


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): a party loads no more than it uses."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
