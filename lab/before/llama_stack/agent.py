"""The agent: it passes on what it was given, and lets the Llama Stack do the rest."""

from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Header, Response
from pydantic import BaseModel

MODEL = "provider/scripted"


class Task(BaseModel):
    """A user's task."""

    request: str


def agent_app(stack: str, tool: str, key: str) -> FastAPI:
    """Return the agent.  `stack` and `tool` are the addresses that it calls, `key` is the tool's static key."""
    app = FastAPI()

    @app.post("/tasks")
    async def run(task: Task, authorization: Annotated[str, Header()] = "") -> Response:
        # The user's own token goes on: the Llama Stack will check it, so nobody does here.
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.post(
                f"{stack}/v1/responses",
                json=response_request(task.request, tool, key),
                headers={"authorization": authorization},
            )
        return Response(answer.content, answer.status_code, media_type="application/json")

    return app


def response_request(task: str, tool: str, key: str) -> dict[str, Any]:
    """Return the body for a response: the model's loop runs at the Llama Stack, which calls the tool with the key."""
    documents = {"type": "mcp", "server_label": "documents", "server_url": tool, "authorization": key}
    return {"model": MODEL, "input": task, "tools": [documents | {"require_approval": "never"}]}
