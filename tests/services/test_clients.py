"""What official clients rely on: the context of a conversation, and parts that both sides can read.

The rules for agents are those that the A2A compatibility kit checks as MUST; see `docs/reference/conformance.md`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from a2a.helpers.proto_helpers import get_data_parts, get_message_text, new_message, new_text_part
from a2a.types import Message, Part, Role, SendMessageConfiguration, SendMessageRequest

from tests.support.clients import agent
from tests.support.system import System

Token = Callable[..., str]
READER = "agent/reader"
READ_IT = "Summarise our incident reports."


async def reply(system: System, token: str, *parts: Part, takes: Sequence[str] = (), **more: Any) -> Message:
    """What the reader answers to these parts."""
    message = new_message(list(parts) or [new_text_part(READ_IT)], role=Role.ROLE_USER, **more)
    asked = SendMessageRequest(message=message, configuration=SendMessageConfiguration(accepted_output_modes=takes))
    [answer] = [answer async for answer in agent(system, READER, token).send_message(asked)]
    return answer.message


async def test_the_reply_belongs_to_the_context_that_the_caller_names(system: System, asking: Token) -> None:
    assert (await reply(system, asking(), context_id="conversation-7")).context_id == "conversation-7"


async def test_a_context_that_was_made_up_for_the_caller_is_reported(system: System, asking: Token) -> None:
    first, second = await reply(system, asking()), await reply(system, asking())

    assert first.context_id
    assert first.context_id != second.context_id


@pytest.mark.parametrize(
    ("takes", "kinds"),
    [
        ([], ["text", "data"]),
        (["text/plain", "application/json"], ["text", "data"]),
        (["*/*"], ["text", "data"]),
        (["text/plain"], ["text"]),
        (["text/*", "image/png"], ["text"]),
        (["application/json"], ["data"]),
    ],
)
async def test_an_answer_has_parts_of_the_media_types_that_the_caller_takes(
    system: System, asking: Token, takes: list[str], kinds: list[str]
) -> None:
    answer = await reply(system, asking(), takes=takes)

    assert [part.WhichOneof("content") for part in answer.parts] == kinds
    [account] = get_data_parts(answer.parts) or [{}]
    found = get_message_text(answer) or account["text"]  # either way, nothing is lost
    assert found.startswith("Summary of 4 documents:")
