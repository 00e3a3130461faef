'''What every service here is built from: verify, decide, record, narrow, act.  A whole party:

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
the table is not guarded.  `service.exchange` narrows the caller's token for the next hop.  SDKs are in
`zerotrust.adapters`, what tests need is in `zerotrust.testing`.  Each name is imported when it is first used.
'''

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotrust.adapters.mcp_tools import McpTools as McpTools
    from zerotrust.audit.chain import first_bad_record as first_bad_record
    from zerotrust.audit.event import AuditEvent as AuditEvent
    from zerotrust.audit.journal import Journal as Journal
    from zerotrust.context import current_principal as current_principal
    from zerotrust.decision import Decision as Decision
    from zerotrust.decision import Denied as Denied
    from zerotrust.decision import PolicyEngine as PolicyEngine
    from zerotrust.decision import Reason as Reason
    from zerotrust.decision import ReasonCode as ReasonCode
    from zerotrust.decision import Resource as Resource
    from zerotrust.errors import ZeroTrustError as ZeroTrustError
    from zerotrust.gate import Gate as Gate
    from zerotrust.identity import Principal as Principal
    from zerotrust.identity import UnverifiedToken as UnverifiedToken
    from zerotrust.issuer.discovery import Discovery as Discovery
    from zerotrust.issuer.exchange import ExchangedToken as ExchangedToken
    from zerotrust.policy import CedarPolicy as CedarPolicy
    from zerotrust.revocation import Revocations as Revocations
    from zerotrust.routes import MutualTLS as MutualTLS
    from zerotrust.routes import Public as Public
    from zerotrust.routes import Routes as Routes
    from zerotrust.routes import Scope as Scope
    from zerotrust.runtime import run as run
    from zerotrust.service import Service as Service
    from zerotrust.settings import Settings as Settings
    from zerotrust.token_validation import Expected as Expected
    from zerotrust.token_validation import verify_token as verify_token

VERSION = "0.1.0"
"""The project's version, as in `pyproject.toml`, which is not among the measured folders that a launched party sees."""

_MODULES = {
    "adapters.mcp_tools": "McpTools",
    "audit.event": "AuditEvent",
    "audit.chain": "first_bad_record",
    "audit.journal": "Journal",
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
    "token_validation": "Expected verify_token",
}
"""Where each public name is."""
_WHERE = {name: f"zerotrust.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = ["VERSION", *_WHERE]  # noqa: PLE0604 - strings, all of them


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): a party loads no more than it uses."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
