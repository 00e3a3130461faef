"""Checks the answers of a model's server: refuses a malformed one, and builds anew what is passed on.  Pure.

The server is outside: its client library checks nothing, and a model may say anything.  A bad call of a tool does not
spoil the reply: it keeps its place, in a form in which no agent can make it.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from inference.answer import Finish, Reply, Usage

MAX_TEXT = 256 * 1024
"""Characters of one answer: its text, its refusal and the arguments of its calls."""
MAX_CALLS = 32
"""Tools that one answer calls."""
MAX_LISTED = 500
"""Models of a list: more than most providers offer."""
LIST_ELEMENTS = 20 * MAX_LISTED
"""Elements of a list's JSON; OGX has 17 for each model."""
MAX_TOKENS = 100_000_000
"""Tokens of one call, as its server counts them."""
LONGEST_NAME = 128
"""Characters of a tool's name (MCP 2026-07-28)."""
NO_NAME = "?"
"""A character that no tool's name has: it replaces each invalid one, a missing name and the end of a long one."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NOT_UNICODE = re.compile("[\ud800-\udfff]")


def _name(given: Any) -> str:
    name = _NOT_IN_A_NAME.sub(NO_NAME, given[: LONGEST_NAME + 1]) if isinstance(given, str) else ""
    return name if 0 < len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + NO_NAME


def _arguments(given: Any) -> str:
    text = given if isinstance(given, str) else "{}" if given is None else json.dumps(given)  # some send objects
    return _NOT_UNICODE.sub("\0", text)  # a character that no JSON has


def _id(given: Any) -> str:
    return given if isinstance(given, str) and _ID.fullmatch(given) else ""


def _function(given: Any) -> Any:
    """Return a call as a call of a function; a call of anything else gets the name `NO_NAME`."""
    if not isinstance(given, dict):
        return {}
    said = {name: value for name, value in given.items() if value is not None}
    if said.get("type", "function") != "function" or not isinstance(said.get("function", {}), dict):
        return said | {"type": "function", "function": {"name": NO_NAME}}
    return said


ToolName = Annotated[str, BeforeValidator(_name)]
Text = Annotated[str, AfterValidator(lambda text: text.encode().decode())]
"""A text in Unicode: JSON may have half a character (a lone surrogate), which cannot be passed on."""
Count = Annotated[int, Field(ge=0, le=MAX_TOKENS)]


class TooLong(ValueError):
    """An answer is longer than one may be."""


class _Usage(BaseModel):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0

    @field_validator("prompt_tokens", "completion_tokens", mode="before")
    @classmethod
    def _none_is_zero(cls, given: Any) -> Any:
        return given or 0


class _Function(BaseModel):
    name: ToolName = NO_NAME
    arguments: Annotated[str, BeforeValidator(_arguments)] = "{}"


class _Call(BaseModel):
    id: Annotated[str, BeforeValidator(_id)] = ""
    type: Literal["function"] = "function"
    function: _Function = _Function()

    _any = model_validator(mode="before")(_function)


class _Message(BaseModel):
    content: Text | None = None
    refusal: Text | None = None
    tool_calls: Annotated[list[_Call], Field(max_length=MAX_CALLS)] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: Finish


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    usage: _Usage | None = None


class _Metadata(BaseModel):
    model_type: str | None = None


class _Model(BaseModel):
    id: str
    custom_metadata: _Metadata | None = None


def completion(answer: Any) -> Reply:
    """Return a whole answer.  Raises `ValueError`, and `TooLong`, which is one."""
    found = _Completion.model_validate(_plain(answer))
    [choice] = found.choices
    message, calls = choice.message, choice.message.tool_calls or []
    texts = (message.content or "", message.refusal or "", *(call.function.arguments for call in calls))
    if sum(map(len, texts)) > MAX_TEXT:
        raise TooLong
    return Reply(
        message.content,
        tuple(call.model_dump() | {"id": call.id or f"call-{n}-of-this-reply"} for n, call in enumerate(calls, 1)),
        message.refusal,
        # control: half-a-reply-stays-half
        _finish(choice.finish_reason, called=bool(calls)),
        Usage(found.usage.prompt_tokens, found.usage.completion_tokens) if found.usage else None,
    )


def models(listed: Any, is_name: Callable[[str], object]) -> list[str]:
    """Return the language models of a list, without those that have no valid name.  Raises `ValueError`."""
    if not isinstance(listed, list) or len(listed) > MAX_LISTED:
        raise ValueError("no list of models")
    found = [_Model.model_validate(_plain(model)) for model in listed]
    kinds = {model.id: (model.custom_metadata or _Metadata()).model_type or "llm" for model in found}
    return [name for name, kind in kinds.items() if kind == "llm" and is_name(name)]


def _finish(said: Finish, *, called: bool) -> Finish:
    """Return why an answer has ended.  Some servers say `stop` where the model calls tools; OpenAI's clients do not."""
    return "tool_calls" if called and said == "stop" else said


def _plain(answer: Any) -> Any:
    """Return an answer as plain JSON, if the client library has made an object of it."""
    return answer.to_dict(mode="python", warnings=False) if hasattr(answer, "to_dict") else answer
