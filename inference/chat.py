"""The wire format of OpenAI's chat completions and models, as far as a script can serve it.  Pure.

A client of that API gets what it expects: whole answers or a stream, the required members, errors in its format.
Sampling options (`temperature`, `max_tokens`, `stop`, `seed` ...) are ignored, because a script does not sample.  An
option that would change the answer is refused unless it has its default value (`DEFAULTS`).
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.dialect import Dialect, Form
from zerotrust.limits.strict_json import strict_object

MODEL, CREATED = "scripted", 1_795_478_400
"""The one model, and the time of its creation (2026-11-24), in seconds since the epoch."""
DEFAULT = "default"
"""The name by which a client asks for whatever model this deployment has; answers name the model itself."""
MAX_MESSAGES = 256
"""Messages of one conversation: an agent makes at most 64 calls for a task, in 16 turns (`agent_loop.py`)."""
MAX_TOOLS = 128
"""Tools that are offered to the model; OpenAI's own limit."""
MAX_CALLS = 256
"""Tool calls in one conversation."""
PIECE = 400
"""Characters of an answer in one event of a stream."""

DEFAULTS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto",),
    "logprobs": (False,),
    "modalities": (["text"],),
    "audio": (),
    "functions": ([],),
    "function_call": (),
}
"""The options that must have their default value, with that value; null is always a default."""


class ModelReason(ReasonCode):
    """Why the model cannot serve a request that is allowed."""

    UNKNOWN_MODEL = "unknown_model", (404, "invalid_request")
    UNSUPPORTED_OPTION = "unsupported_option", (400, "invalid_request")
    BUDGET_SPENT = "budget_spent", (429, "temporarily_unavailable")


_CODES: dict[ReasonCode, str] = {ModelReason.UNKNOWN_MODEL: "model_not_found"}
"""The reasons for which OpenAI defines a code; for the others, the code is our reason."""


def _text(content: Any) -> Any:
    """Return the text of a content, which may be a list of parts.  Raises `Denied` for a part that is not text."""
    if not isinstance(content, list):
        return content
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            kind = str(part.get("type"))[:20] if isinstance(part, dict) else "none"
            raise Denied(Reason.UNSUPPORTED_CONTENT, kind, advice="This model reads text parts only.")
    return "\n".join(part["text"] for part in content)


def _is_object(arguments: str) -> str:
    """Return the arguments of a call; a model that passes none may send an empty text."""
    strict_object(arguments.encode() or b"{}")
    return arguments or "{}"


class Function(BaseModel):
    """A function that the model calls."""

    name: str
    arguments: Annotated[str, AfterValidator(_is_object)] = "{}"


class Tool(BaseModel):
    """A call to a tool."""

    id: str = ""
    function: Function


class Parameters(BaseModel):
    """The parameters of an offered function, as far as a script reads their JSON Schema."""

    properties: dict[str, Any] = {}
    required: list[str] = []


class Offered(BaseModel):
    """A function that is offered to the model."""

    name: str
    parameters: Parameters | None = None

    @property
    def texts(self) -> tuple[str, ...] | None:
        """The names of the parameters that it requires, if each is a text; otherwise None."""
        known = self.parameters or Parameters()
        kinds = (known.properties.get(name) for name in known.required)
        texts = all(isinstance(kind, dict) and kind.get("type") == "string" for kind in kinds)
        return tuple(known.required) if texts else None


class OfferedTool(BaseModel):
    """A tool that is offered to the model."""

    function: Offered


class Message(BaseModel):
    """One message of a conversation."""

    role: str
    content: Annotated[str | None, BeforeValidator(_text)] = None
    tool_calls: list[Tool] | None = None


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


def _few_calls(messages: list[Message]) -> list[Message]:
    if sum(len(message.tool_calls or []) for message in messages) > MAX_CALLS:
        raise ValueError("too many calls")
    return messages


class Conversation(BaseModel):
    """A request to the model."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), AfterValidator(_few_calls)]
    tools: Annotated[list[OfferedTool], Field(max_length=MAX_TOOLS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def check(self) -> None:
        """Raise `Denied` for another model, and for an option that would change the answer."""
        if self.model not in (DEFAULT, MODEL):
            advice = f"There is one model here: {MODEL}."
            raise Denied(ModelReason.UNKNOWN_MODEL, self.model[:100], advice=advice, more={"param": "model"})
        for name, defaults in DEFAULTS.items():
            if (given := (self.model_extra or {}).get(name)) is not None and given not in defaults:
                advice = f"This model cannot follow the option {name}."
                raise Denied(ModelReason.UNSUPPORTED_OPTION, name, advice=advice, more={"param": name})


class Completion:
    """One answer of the model."""

    def __init__(self, conversation: Conversation, message: dict[str, Any], *, number: str, now: int) -> None:
        """`number` becomes a part of its id; `now` is in seconds since the epoch."""
        self._message = message | {"refusal": None}
        self._reason = "tool_calls" if message.get("tool_calls") else "stop"
        self._head = {"id": f"chatcmpl-{number}", "created": now, "model": MODEL}
        prompt = sum(len((said.content or "").split()) for said in conversation.messages)
        completion = len((message["content"] or "").split())
        self._usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self._with_usage = bool(conversation.stream_options and conversation.stream_options.include_usage)

    @property
    def tokens(self) -> int:
        """What it costs in the budget of its transaction (`budget.py`)."""
        return self._usage["total_tokens"]

    def whole(self) -> dict[str, Any]:
        """Return the answer as one object.  `usage` counts words, because a script has no tokens."""
        choice = {"index": 0, "message": self._message, "logprobs": None, "finish_reason": self._reason}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}

    async def events(self) -> AsyncIterator[str]:
        """Yield the answer as a stream of events (WHATWG HTML section 9.2), as OpenAI's clients read it."""
        for delta in self._deltas():
            yield self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])
        yield self._event([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._reason}])
        if self._with_usage:
            yield self._event([], usage=self._usage)
        yield "data: [DONE]\n\n"

    def _deltas(self) -> Iterator[dict[str, Any]]:
        text = self._message["content"]
        yield {"role": "assistant", "content": None if text is None else ""}
        for start in range(0, len(text or ""), PIECE):
            yield {"content": text[start : start + PIECE]}
        for index, call in enumerate(self._message.get("tool_calls", [])):
            yield {"tool_calls": [{"index": index, **call}]}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n"


def model_entry() -> dict[str, Any]:
    """Return the model's entry in the list of models."""
    return {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "this project"}


def error_body(refusal: Denied, problem: dict[str, Any], _form: Form) -> dict[str, Any]:
    """Return a refusal in the form that OpenAI's clients read, beside the members that every refusal has."""
    code = _CODES.get(refusal.public_reason, str(refusal.public_reason))
    message = refusal.advice or f"{problem['error']}: {refusal.public_reason}"
    error = {"message": message, "type": problem["error"], "param": problem.get("param"), "code": code}
    return {**problem, "error": error}


OPENAI = Dialect(error_body)
