"""The reader, through its gate: its card, and the names of models that it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from a2a.client import A2ACardResolver

from tests.support.attack import message
from tests.support.issuer import Issuer
from tests.support.system import System

Token = Callable[..., str]
A2A = {"a2a-version": "1.0"}


async def test_its_card_is_public_and_says_where_to_send_what(system: System) -> None:
    card = await A2ACardResolver(system.client("agent/reader"), system.addresses["agent/reader"]).get_agent_card()

    assert card.name == "agent/reader"
    [interface] = card.supported_interfaces
    assert (interface.url, interface.protocol_binding, interface.protocol_version) == (
        "https://reader.agent.agents.example/a2a",  # by its name: the same wherever it runs
        "JSONRPC",
        "1.0",
    )
    assert not card.capabilities.streaming
    assert not card.capabilities.push_notifications
    [needed] = card.security_requirements
    kinds = {name: card.security_schemes[name].WhichOneof("scheme") for name in needed.schemes}
    assert set(kinds.values()) == {"mtls_security_scheme", "http_auth_security_scheme"}  # both at once
    assert {name: list(scopes.list) for name, scopes in needed.schemes.items()} == {
        "certificate": ["workload"],
        "token": ["agent.invoke"],
    }


@pytest.mark.parametrize("model", ["", " ", "a b", "x" * 200, 7, None, ["scripted"], {"a": 1}])
async def test_a_model_whose_name_is_none_is_refused_and_nothing_is_begun(
    system: System, issuer: Issuer, asking: Token, model: Any
) -> None:
    said = message("Hi.", metadata={"model": model})
    answer = await system.client("agent/reader", asking()).post("/a2a", json=said, headers=A2A)

    assert answer.json()["error"]["code"] == -32602
    assert issuer.exchanges == []
