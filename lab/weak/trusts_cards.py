"""A caller that trusts an agent's card, as the SDK's example does: the card determines the address of the call."""

from a2a.types import AgentCard
from google.protobuf.json_format import Parse  # type: ignore[import-untyped]

from zerotrust.adapters.agent_card import CARD_PATH
from zerotrust.limits.answers import ask
from zerotrust.orchestrator.agent_client import MAX_CARD
from zerotrust.service import Service


async def card_of(service: Service, name: str) -> AgentCard:
    """Return the card that is served at an agent's address, without a check."""
    url = f"{service.addresses[name]}{CARD_PATH}"
    _, sent = await ask(service.egress.without_token, "GET", url, most=MAX_CARD)
    card: AgentCard = Parse(sent, AgentCard(), ignore_unknown_fields=True)
    return card
