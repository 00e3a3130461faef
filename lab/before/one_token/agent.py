"""An agent: it does what the model says, and checks no caller, because the front door has checked the user.

It runs as a process of its own, from a copy of this file; so it needs nothing else of this project.
"""

import json
import os
import socket
import sys
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

TOOL, MODEL, KEY = (os.environ.get(name, "") for name in ("TOOL", "MODEL", "TOOL_KEY"))
"""Addresses of tool and model, and the tool's static key: settings, as usual."""
MOST_REPLIES = 16

app = FastAPI()


class Task(BaseModel):
    """The request to an agent."""

    text: str


@app.post("/run")
async def run(task: Task, request: Request) -> dict[str, str]:
    """Let the model work on a task with the tools until it answers in words."""
    # The caller's token goes on to the model and to the tool.
    passed_on = {"authorization": request.headers.get("authorization", "")}
    messages: list[dict[str, Any]] = [{"role": "user", "content": task.text}]
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=passed_on) as http:
        tools = (await ask_tool(http, "tools/list"))["tools"]
        for _ in range(MOST_REPLIES):
            reply = await ask_model(http, messages, tools)
            messages.append(reply)
            if not reply.get("tool_calls"):
                break
            for call in reply["tool_calls"]:
                wanted = call["function"]
                arguments = json.loads(wanted["arguments"])
                result = await ask_tool(http, "tools/call", name=wanted["name"], arguments=arguments)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result["content"][0]["text"]})
    return {"text": messages[-1]["content"] or ""}


async def ask_tool(http: httpx.AsyncClient, method: str, **params: Any) -> Any:
    """Send a request to the tool server (MCP), with its key."""
    answer = await http.post(
        TOOL,
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={"accept": "application/json, text/event-stream", "x-api-key": KEY},
    )
    return answer.raise_for_status().json()["result"]


async def ask_model(http: httpx.AsyncClient, messages: list[Any], tools: list[Any]) -> dict[str, Any]:
    """Return the model's next message."""
    functions = [
        {"type": "function", "function": {"name": tool["name"], "parameters": tool["inputSchema"]}} for tool in tools
    ]
    body = {"model": "default", "messages": messages, "tools": functions}
    answer = await http.post(f"{MODEL}/v1/chat/completions", json=body)
    message: dict[str, Any] = answer.raise_for_status().json()["choices"][0]["message"]
    return message


if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listening])
