"""The digests of cards and tools: the same for the same, whoever asks, and another for anything that a model reads."""

from typing import Any

import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric import ec

from zerotrust.adapters.agent_card import agent_card, as_json, card_digest
from zerotrust.agent.tool_client import tool_digest

TOOL: dict[str, Any] = {
    "name": "read",
    "description": "Read one document.",
    "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}},
    "outputSchema": {"type": "object"},
}


def card(address: str = "https://reader.agent.agents.example") -> AgentCard:
    return agent_card("agent/reader", address, ["agent.invoke"])


def signed(given: AgentCard, key: ec.EllipticCurvePrivateKey) -> AgentCard:
    sign = create_agent_card_signer(key, {"alg": "ES256", "kid": "k", "jku": None, "typ": "JOSE"})  # type: ignore[arg-type]
    return sign(given)


def test_a_card_has_the_same_digest_signed_or_not() -> None:
    assert card_digest(as_json(signed(card(), ec.generate_private_key(ec.SECP256R1())))) == card_digest(as_json(card()))


@pytest.mark.parametrize("field", TOOL)
def test_a_tool_that_says_something_else_has_another_digest(field: str) -> None:
    assert tool_digest(TOOL | {field: {"type": "array"}}) != tool_digest(TOOL)
    assert tool_digest({key: value for key, value in TOOL.items() if key != field}) != tool_digest(TOOL)


def test_the_order_of_names_and_what_is_null_do_not_count() -> None:
    turned = {key: TOOL[key] for key in reversed(TOOL)}

    assert tool_digest({**turned, "annotations": None}) == tool_digest(TOOL)
