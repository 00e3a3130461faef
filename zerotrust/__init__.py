'''What every service here is built from: verify, decide, record, narrow, act.  A whole party:

    """Quotes: answers with a price, to whoever may read quotes."""

    from starlette.types import ASGIApp

    from zerotrust import Public, Scope, Service, current_principal, run

    ROUTES = {("GET", "/quotes/{item}"): Scope("quote.read"), ("GET", "/health"): Public()}


    def create_app(service: Service) -> ASGIApp:
        app = service.app()

        @app.get("/quotes/{item}")
        async def quote(item: str) -> dict[str, str | int]:
            return {"item": item, "price": len(item), "for": current_principal().subject}

        return service.guard(app, ROUTES)


    if __name__ == "__main__":
        run("agent/quotes", create_app)

The gate has verified the token, decided, and put both on record before `quote` runs; a route that is not in the table
is refused.  `service.exchange` narrows the caller's token for the next hop.  SDKs are in `zerotrust.adapters`, what
tests need is in `zerotrust.testing`.  Each name is imported when it is first used.
'''

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotrust.adapters.mcp_tools import McpTools
    from zerotrust.audit.event import AuditEvent
    from zerotrust.audit.journal import Journal, first_bad_record
    from zerotrust.context import current_principal
    from zerotrust.decision import Decision, Denied, PolicyEngine, Reason, ReasonCode, Resource
    from zerotrust.errors import ZeroTrustError
    from zerotrust.gate import Gate
    from zerotrust.identity import Principal, UnverifiedToken
    from zerotrust.issuer.discovery import Discovery
    from zerotrust.issuer.exchange import ExchangedToken
    from zerotrust.policy import CedarPolicy
    from zerotrust.revocation import Revocations
    from zerotrust.routes import MutualTLS, Public, Routes, Scope
    from zerotrust.runtime import run
    from zerotrust.service import Service
    from zerotrust.settings import Settings
    from zerotrust.verify import Expected
    from zerotrust.verify import verify as verify_token

VERSION = "0.1.0"
"""The project's version, as in `pyproject.toml`, which is not among the measured folders that a launched party sees."""

_MODULES = {
    "adapters.mcp_tools": "McpTools",
    "audit.event": "AuditEvent",
    "audit.journal": "Journal first_bad_record",
    "context": "current_principal",
    "decision": "Decision Denied PolicyEngine Reason ReasonCode Resource",
    "errors": "ZeroTrustError",
    "gate": "Gate",
    "identity": "Principal UnverifiedToken",
    "issuer.discovery": "Discovery",
    "issuer.exchange": "ExchangedToken",
    "policy": "CedarPolicy",
    "revocation": "Revocations",
    "routes": "MutualTLS Public Routes Scope",
    "runtime": "run",
    "service": "Service",
    "settings": "Settings",
    "verify": "Expected",
}
"""Where each public name is."""
_WHERE = {name: (f"zerotrust.{module}", name) for module, names in _MODULES.items() for name in names.split()}
_WHERE["verify_token"] = ("zerotrust.verify", "verify")

__all__ = [
    "VERSION",
    "AuditEvent",
    "CedarPolicy",
    "Decision",
    "Denied",
    "Discovery",
    "ExchangedToken",
    "Expected",
    "Gate",
    "Journal",
    "McpTools",
    "MutualTLS",
    "PolicyEngine",
    "Principal",
    "Public",
    "Reason",
    "ReasonCode",
    "Resource",
    "Revocations",
    "Routes",
    "Scope",
    "Service",
    "Settings",
    "UnverifiedToken",
    "ZeroTrustError",
    "current_principal",
    "first_bad_record",
    "run",
    "verify_token",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): a party loads no more than it uses."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, known_as = _WHERE[name]
    return getattr(import_module(module), known_as)
