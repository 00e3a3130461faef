"""The reader, through its gate and the official A2A client: what it may do, what it keeps (nothing), what it tells."""

from collections.abc import Callable
from typing import Any

import pytest
from a2a.client import A2ACardResolver

from tests.support.attack import message
from tests.support.clients import ask, failed, text_of
from tests.support.issuer import Issuer
from tests.support.system import System

Token = Callable[..., str]
READ_IT = "Summarise our incident reports."
A2A = {"a2a-version": "1.0"}
RPC = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}


async def test_it_answers_with_one_message_and_with_what_it_tried_in_vain(system: System, asking: Token) -> None:
    message = await ask(system, "agent/reader", asking(), READ_IT)

    assert text_of(message).startswith("Summary of 4 documents:\n- Incident report: certificate expired:")
    forecast, overwriting = failed(message)
    assert forecast.startswith('read {"id": "FIN-201"}: ')
    assert forecast.endswith("there is no document FIN-201 that this call may read")
    assert overwriting.startswith('replace {"id": "ENG-101"')
    assert overwriting.endswith("refused (scope_missing)")


async def test_it_sees_what_its_user_may_see(system: System, asking: Token) -> None:
    message = await ask(system, "agent/reader", asking(sub="bob", groups=["/finance"]), READ_IT)

    assert "invoice paid twice" in text_of(message)
    assert "certificate" not in text_of(message)
    assert failed(message) == []


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


async def test_it_takes_and_gives_what_its_card_says(system: System, asking: Token) -> None:
    card = await A2ACardResolver(system.client("agent/reader"), system.addresses["agent/reader"]).get_agent_card()
    message = await ask(system, "agent/reader", asking(), READ_IT)

    assert list(card.default_input_modes) == ["text/plain"]
    assert [part.WhichOneof("content") for part in message.parts] == ["text", "data"]
    assert list(card.default_output_modes) == ["text/plain", "application/json"]


# the model that it asks for


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({}, ""),
        ({"model": "default"}, ""),
        ({"model": "scripted", "more": {"x": 1}}, ""),
        ({"model": "scripted-2"}, "inference: refused with 404, unknown_model: there is no such model"),
    ],
)
async def test_it_asks_for_the_model_that_the_message_names(
    system: System, asking: Token, named: dict[str, Any], told: str
) -> None:
    answer = await system.client("agent/reader", asking()).post(
        "/a2a", json=message("Hi.", metadata=named), headers=A2A
    )

    [account] = [part["data"] for part in answer.json()["result"]["message"]["parts"] if "data" in part]
    assert account["broken"] == told
    assert len(account["done"]) == (not told)


@pytest.mark.parametrize("model", ["", " ", "a b", "x" * 200, 7, None, ["scripted"], {"a": 1}])
async def test_a_model_whose_name_is_none_is_refused_and_nothing_is_begun(
    system: System, issuer: Issuer, asking: Token, model: Any
) -> None:
    said = message("Hi.", metadata={"model": model})
    answer = await system.client("agent/reader", asking()).post("/a2a", json=said, headers=A2A)

    assert answer.json()["error"]["code"] == -32602
    assert issuer.exchanges == []


async def test_the_same_token_twice_costs_one_exchange_for_each_need(
    system: System, issuer: Issuer, asking: Token
) -> None:
    token = asking()
    for _ in range(2):
        await ask(system, "agent/reader", token, READ_IT)

    assert len(issuer.exchanges) == 2
