"""The inference service: which conversations it takes."""

from typing import Any

import pytest

from inference.chat import MAX_CALLS, MAX_MESSAGES, MAX_TOOLS
from tests.support.issuer import Issuer
from tests.support.system import System
from zerotrust.routes import MAX_CONVERSATION, MAX_MESSAGE

HELLO: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}]}
CALL: dict[str, Any] = {"function": {"name": "search"}}


@pytest.fixture
def thinking(issuer: Issuer) -> str:
    """A token that the reader holds for the model: T3 of the design."""
    return issuer.delegated("orchestrator", "agent/reader", aud=issuer.registry.id("inference"), scope="inference.run")


async def test_a_conversation_may_be_longer_than_a_message(system: System, thinking: str) -> None:
    async def said(length: int) -> int:
        text = {"role": "user", "content": "x" * length}
        asked = await system.client("inference", thinking).post(
            "/v1/chat/completions", json=HELLO | {"messages": [text]}
        )
        return asked.status_code

    assert [await said(MAX_MESSAGE), await said(MAX_CONVERSATION)] == [200, 413]


@pytest.mark.parametrize(
    "body",
    [
        {},
        HELLO | {"messages": []},
        HELLO | {"messages": [{"role": "user"}] * (MAX_MESSAGES + 1)},
        HELLO | {"messages": [HELLO["messages"][0], {"role": "assistant", "tool_calls": [CALL] * (MAX_CALLS + 1)}]},
        HELLO | {"tools": [CALL] * (MAX_TOOLS + 1)},
        HELLO | {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "[1]"}}]}]},
        HELLO | {"messages": [{"content": "no role"}]},
        HELLO | {"tools": [{"function": {}}]},
    ],
)
async def test_a_conversation_that_is_none_is_refused(system: System, thinking: str, body: dict[str, Any]) -> None:
    assert (await system.client("inference", thinking).post("/v1/chat/completions", json=body)).status_code == 400
