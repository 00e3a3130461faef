"""The requests of OpenAI's chat completions, as far as they are served here, and its errors.  Pure.

An option that would change the answer, and that the backend cannot follow, is refused unless it has its default value.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.dialect import Dialect, Form
from zerotrust.limits.strict_json import strict_object

DEFAULT = "default"
"""The name by which a client asks for whatever model this deployment has; answers name the model itself."""
MAX_MESSAGES = 256
"""Messages of one conversation: an agent makes at most 64 calls for a task, in 16 turns (`agent_loop.py`)."""
MAX_TOOLS = 128
"""Tools that are offered to the model; OpenAI's own limit."""
MAX_CALLS = 256
"""Tool calls in one conversation."""

Defaults = Mapping[str, tuple[Any, ...]]
NEVER_SERVED: Defaults = {
    "n": (1,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "audio": (),
    "functions": ([],),
    "function_call": (),
}
"""The options that must have their default value, with that value, whatever the model; null is always a default."""


class ModelReason(ReasonCode):
    """Why the model does not serve a request that is allowed."""

    UNKNOWN_MODEL = "unknown_model", (404, "invalid_request")
    NO_DEFAULT_MODEL = "no_default_model", (404, "invalid_request")
    UNSUPPORTED_OPTION = "unsupported_option", (400, "invalid_request")
    BUDGET_SPENT = "budget_spent", (429, "temporarily_unavailable")
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded", (400, "invalid_request")
    MODEL_BUSY = "model_busy", (503, "temporarily_unavailable")
    MODEL_UNREACHABLE = "model_unreachable", (503, "temporarily_unavailable")
    MODEL_TIMED_OUT = "model_timed_out", (504, "temporarily_unavailable")
    MODEL_REFUSED = "model_refused", (502, "server_error")
    MODEL_FAILED = "model_failed", (502, "server_error")
    MODEL_ANSWER_INVALID = "model_answer_invalid", (502, "server_error")
    MODEL_ANSWER_TOO_LONG = "model_answer_too_long", (502, "server_error")


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
    """Return the arguments of a call, if they are a JSON object; a model that passes none may send an empty text."""
    strict_object(arguments.encode() or b"{}")
    return arguments or "{}"


class Function(BaseModel):
    """A function that the model calls."""

    name: str
    arguments: Annotated[str, AfterValidator(_is_object)] = "{}"


class Tool(BaseModel):
    """A call to a tool."""

    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class Parameters(BaseModel):
    """The parameters of an offered function: a JSON Schema, of which a script reads these members."""

    model_config = ConfigDict(extra="allow")

    properties: dict[str, Any] = {}
    required: list[str] = []


class Offered(BaseModel):
    """A function that is offered to the model."""

    name: str
    description: str | None = None
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

    type: Literal["function"] = "function"
    function: Offered

    def plain(self) -> dict[str, Any]:
        """Return it as it was offered, as far as it was read."""
        offered, schema = self.function, self.function.parameters
        function: dict[str, Any] = {"name": offered.name}
        if offered.description is not None:
            function["description"] = offered.description
        if schema is not None:
            function["parameters"] = schema.model_dump(exclude_unset=True)
        return {"type": self.type, "function": function}


class Message(BaseModel):
    """One message of a conversation."""

    role: str
    content: Annotated[str | None, BeforeValidator(_text)] = None
    tool_calls: list[Tool] | None = None
    tool_call_id: str | None = None
    """The id of the call that a tool's message answers."""


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


def _check_calls(messages: list[Message]) -> list[Message]:
    if sum(len(message.tool_calls or []) for message in messages) > MAX_CALLS:
        raise ValueError("too many calls")
    return messages


class Conversation(BaseModel):
    """A request to the model."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), AfterValidator(_check_calls)]
    tools: Annotated[list[OfferedTool], Field(max_length=MAX_TOOLS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def check(self, defaults: Defaults) -> None:
        """Raise `Denied` for an option that would change the answer; `defaults` are those that it may have."""
        for name, allowed in defaults.items():
            if (given := self.option(name)) is not None and given not in allowed:
                advice = f"This model cannot follow the option {name}."
                raise Denied(ModelReason.UNSUPPORTED_OPTION, name, advice=advice, more={"param": name})

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def option(self, name: str) -> Any:
        """Return an option's value; None if it is absent or null."""
        return (self.model_extra or {}).get(name)


def unknown_model(asked: str, advice: str) -> Denied:
    """Return the refusal for a model that is not offered here."""
    return Denied(ModelReason.UNKNOWN_MODEL, asked[:100], advice=advice, more={"param": "model"})


def error_body(refusal: Denied, problem: dict[str, Any], _form: Form) -> dict[str, Any]:
    """Return a refusal in the form that OpenAI's clients read, beside the members that every refusal has."""
    code = _CODES.get(refusal.public_reason, str(refusal.public_reason))
    message = refusal.advice or f"{problem['error']}: {refusal.public_reason}"
    error = {"message": message, "type": problem["error"], "param": problem.get("param"), "code": code}
    return {**problem, "error": error}


OPENAI = Dialect(error_body)
