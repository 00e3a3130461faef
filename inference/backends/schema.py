"""Tool choice for models without tool calls: the model answers in a JSON Schema, and that is a call.  Pure.

The schema leaves it the choice between the offered tools and an answer in words.  It makes the answer parseable, not
right: whether the arguments are good is the tool's to say, and whether the call is allowed the tool's gate.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from inference.answer import Reply
from inference.backends.checked import ToolName
from inference.chat import Conversation, Message, ModelReason, OfferedTool
from zerotrust.decision import Denied

EXAMPLES = 3
"""Tools that an example shows: small models choose better with some."""
_RULES = "Answer with one JSON object: a tool to call, with its arguments, or your final answer. The tools:"


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tool: ToolName
    arguments: dict[str, Any]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: str


class _Heard(BaseModel):
    choice: _Call | _Answer


def asked(conversation: Conversation, options: dict[str, Any]) -> dict[str, Any]:
    """Return the request for a conversation.  Raises `Denied` for options that a schema leaves no room for."""
    if not (tools := conversation.tools or []):
        return {"messages": [_said(message, {}) for message in conversation.messages]} | options
    for name in ("response_format", "tool_choice"):
        if options.get(name) not in (None, "auto", {"type": "text"}):
            raise Denied(ModelReason.UNSUPPORTED_OPTION, name, more={"param": name})
    rest = {name: value for name, value in options.items() if name not in ("tool_choice", "parallel_tool_calls")}
    names = {call.id: call.function.name for message in conversation.messages for call in message.tool_calls or []}
    messages = [*_introduction(tools), *(_said(message, names) for message in conversation.messages)]
    form = {"name": "choice", "schema": {"oneOf": [*map(_form, tools), _ANSWER]}}
    return rest | {"messages": messages, "response_format": {"type": "json_schema", "json_schema": form}}


def heard(reply: Reply, conversation: Conversation) -> Reply:
    """Return the model's choice as a call, or as words.  Raises `ValueError` if it is neither."""
    if not conversation.tools or reply.refusal or reply.finish in ("length", "content_filter"):
        return reply
    choice = _Heard.model_validate({"choice": json.loads(reply.content or "")}).choice
    if isinstance(choice, _Answer):
        return Reply(choice.answer, usage=reply.usage)
    number = sum(len(message.tool_calls or []) for message in conversation.messages) + 1
    function = {"name": choice.tool, "arguments": json.dumps(choice.arguments)}
    call = {"id": f"call-{number}", "type": "function", "function": function}
    return Reply(None, (call,), finish="tool_calls", usage=reply.usage)


_ANSWER = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def _form(tool: OfferedTool) -> dict[str, Any]:
    parameters = tool.plain()["function"].get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {"tool": {"const": tool.function.name}, "arguments": parameters},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _introduction(tools: list[OfferedTool]) -> list[dict[str, Any]]:
    lines = [f"- {tool.function.name}: {tool.function.description or ''}" for tool in tools]
    messages = [{"role": "system", "content": "\n".join([_RULES, *lines])}]
    for tool in tools[:EXAMPLES]:
        arguments = dict.fromkeys(tool.function.texts or (), "...")
        messages.append({"role": "user", "content": f"(an example) Use {tool.function.name}."})
        messages.append({"role": "assistant", "content": _call(tool.function.name, arguments)})
    return messages


def _said(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """Return a message for a model that knows of no calls: its own are what it said, and a result is told."""
    if message.tool_calls:
        calls = [_call(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
        return {"role": "assistant", "content": "\n".join(calls)}
    if message.role == "tool":
        name = names.get(message.tool_call_id or "", "the tool")
        return {"role": "user", "content": f"The result of {name}:\n{message.content or ''}"}
    return {"role": message.role, "content": message.content or ""}


def _call(name: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"tool": name, "arguments": arguments})
