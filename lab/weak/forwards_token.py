"""An agent that passes its caller's token on, where it should exchange it for one of its own."""

from typing import Any, ClassVar

from zerotrust.context import current_principal
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.service import Service


class Forwarding(Service):
    """A service that does not narrow (MCP forbids it by name: "token passthrough")."""

    instead_of: ClassVar = "zerotrust/service.py Service.exchange"

    async def exchange(self, audience: str, *scopes: str, **wishes: Any) -> ExchangedToken:  # noqa: ARG002
        caller = current_principal()
        return ExchangedToken(self.registry.id(audience), caller.token_id, caller.expires_at, caller.token)
