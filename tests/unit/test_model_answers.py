"""What a model's server answers is checked and built anew, and nothing else is passed on."""

import json
from typing import Any

import pytest

from inference.answer import Head, Usage
from inference.backends import checked
from inference.backends.checked import MAX_CALLS, MAX_LISTED, MAX_TEXT, TooLong
from zerotrust.agent.model_client import read_reply

CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}


def completion(**changed: Any) -> dict[str, Any]:
    """An answer as OGX gives it, with another message."""
    message = {"role": "assistant", "content": "Hello", "refusal": None, "tool_calls": None, "audio": None} | changed
    choice = {"index": 0, "message": message, "finish_reason": changed.pop("finish", "stop"), "logprobs": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": None}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage, "more": "y"}


def test_an_answer_is_read_and_what_else_it_has_is_left_out() -> None:
    reply = checked.completion(completion())

    assert (reply.content, reply.calls, reply.finish, reply.usage) == ("Hello", (), "stop", Usage(3, 2))
    called = checked.completion(completion(content=None, tool_calls=[CALL | {"secret": "x"}]))  # it says `stop`
    assert (called.calls, called.finish) == ((CALL,), "tool_calls")


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        ({"function": {"name": "a\nb"}}, "a?b"),
        ({"function": {"name": "functions.search:0", "arguments": "{}"}}, "functions.search?0"),
        ({"function": {"name": "\ud800"}}, "?"),
        ({"function": {"name": ""}}, "?"),
        ({"function": {"name": ["search"]}}, "?"),
        ({"function": {"name": "x" * 129}}, "x" * 127 + "?"),
        ({"function": ["search"]}, "?"),
        ({"type": "shell", "function": {"name": "search"}}, "?"),
        ({"type": "function"}, "?"),
        ("search", "?"),
        (None, "?"),
    ],
)
def test_a_bad_call_costs_itself_and_not_the_reply(bad: Any, name: str) -> None:
    """Through to the agent's loop, which makes the others."""
    head = Head("x", 0, "m")
    answer = head.whole(checked.completion(completion(content=None, tool_calls=[CALL, bad, CALL], finish="tool_calls")))
    calls = read_reply(json.dumps(answer).encode()).calls

    assert [call.name for call in calls] == ["search", name, "search"]


@pytest.mark.parametrize("given", ["c 1", "c" * 129, "", None, 5])
def test_a_call_without_a_usable_id_gets_one_of_ours(given: Any) -> None:
    [first, second] = checked.completion(completion(tool_calls=[CALL | {"id": given}, CALL])).calls
    assert (first["id"], second["id"]) == ("call-1-of-this-reply", "c1")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Hello",
        [],
        {},
        {"choices": []},
        {"choices": completion()["choices"] * 2},
        {"choices": [{"message": {}}]},
        completion(finish="because"),
        completion(content=["Hello"]),
        completion(content="\ud800"),
        completion(tool_calls=[CALL] * (MAX_CALLS + 1)),
        completion() | {"usage": {"prompt_tokens": -1, "completion_tokens": 0}},
        completion() | {"usage": {"prompt_tokens": 1e18, "completion_tokens": 0}},
    ],
)
def test_what_is_no_answer_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of pydantic or ours
        checked.completion(answer)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x" * (MAX_TEXT + 1)},
        {"refusal": "x" * (MAX_TEXT + 1)},
        {"content": "x" * MAX_TEXT, "tool_calls": [CALL]},
        {"tool_calls": [{"id": "1", "function": {"name": "a", "arguments": "x" * MAX_TEXT}}] * 2},
    ],
)
def test_an_answer_without_an_end_gets_one(message: dict[str, Any]) -> None:
    with pytest.raises(TooLong):
        checked.completion(completion(**message))


def test_the_models_are_those_that_talk_and_have_a_name() -> None:
    listed = [
        {"id": "provider/qwen:0.5b", "custom_metadata": {"model_type": "llm", "provider_id": "x"}},
        {"id": "provider/embed", "custom_metadata": {"model_type": "embedding"}},
        {"id": "no name"},
        {"id": "plain"},
    ]
    assert checked.models(listed, str.isprintable) == ["provider/qwen:0.5b", "no name", "plain"]
    assert checked.models(listed, lambda name: " " not in name) == ["provider/qwen:0.5b", "plain"]


def test_a_list_of_models_is_bounded() -> None:
    assert len(checked.models([{"id": f"m{n}"} for n in range(MAX_LISTED)], bool)) == MAX_LISTED
    wrong: Any
    for wrong in ([{"id": "m"}] * (MAX_LISTED + 1), {"data": []}, None, [{"name": "m"}], ["m"]):
        with pytest.raises(ValueError):  # noqa: PT011 - of pydantic or ours
            checked.models(wrong, bool)
