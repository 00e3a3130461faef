"""An agent that forwards its caller's token instead of exchanging it."""

from typing import Any, ClassVar

from zerotrust.context import current_principal
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.service import Service


class Forwarding(Service):
    """A service that does not exchange tokens (MCP forbids this as "token passthrough")."""

    instead_of: ClassVar = "zerotrust/service.py Service.exchange"

    async def exchange(self, audience: str, *scopes: str, **wishes: Any) -> ExchangedToken:  # noqa: ARG002
        caller = current_principal()
        return ExchangedToken(self.registry.id(audience), caller.token_id, caller.expires_at, caller.token)
