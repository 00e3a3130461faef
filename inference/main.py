"""Inference: an OpenAI-compatible API in front of a model.  One scope to use the model, another to list the models.

The model is a script (`inference/script.py`).  The door is what matters here: a real model goes behind the same one.
"""

from typing import Any

from pydantic import BaseModel, Field, Json
from starlette.types import ASGIApp

from inference.script import reply
from zerotrust.errors import Refusal
from zerotrust.gate import PUBLIC, Permissions
from zerotrust.policy import Reason
from zerotrust.run import run
from zerotrust.service import Service

MODEL = "scripted"
PERMISSIONS: Permissions = {
    ("POST", "/v1/chat/completions"): "inference.run",
    ("GET", "/v1/models"): "model.read",
    ("GET", "/health"): PUBLIC,
}


class Function(BaseModel):
    """A function the model may call, or does."""

    name: str
    arguments: Json[dict[str, Any]] = {}


class Tool(BaseModel):
    """A tool, or a call to one."""

    id: str = ""
    function: Function


class Message(BaseModel):
    """One message of a conversation."""

    role: str
    content: str | None = None
    tool_calls: list[Tool] | None = None


class Conversation(BaseModel):
    """What is asked of the model.  Options that a script cannot follow are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=1000)
    tools: list[Tool] = []


def create_app(service: Service) -> ASGIApp:
    """The inference service, guarded."""
    app = service.app()

    @app.post("/v1/chat/completions")
    async def complete(asked: Conversation) -> dict[str, Any]:
        if asked.model != MODEL:
            raise Refusal(Reason.UNKNOWN_MODEL, asked.model)
        messages = [message.model_dump(round_trip=True) for message in asked.messages]
        message = reply(messages, {tool.function.name for tool in asked.tools})
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {"object": "chat.completion", "model": MODEL, "choices": [choice]}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "this project"}]}

    return service.guard(app, PERMISSIONS)


if __name__ == "__main__":
    run("inference", create_app)
