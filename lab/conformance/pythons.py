"""The Python SDKs: MCP in all modes and in its previous version, A2A, and the OpenAI client."""

from collections.abc import Awaitable, Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import httpx
import httpx2
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client import Client as A2AClient
from a2a.helpers.proto_helpers import get_message_text, new_message, new_raw_part, new_text_part
from a2a.types import GetTaskRequest, ListTasksRequest, Role, SendMessageRequest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from lab.conformance.nodes import ADVICE, REVISION
from lab.conformance.outcome import Outcome
from lab.conformance.running import Missing, environment, printed, run

LEGACY = "1.30.0"


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    data = f" {error.error.data}" if isinstance(error, MCPError) else ""
    return f"{type(error).__name__}: {error}{data}"


async def _came(what: Callable[[], Awaitable[object]]) -> str:
    try:
        return str(await what())
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - any error is a result
        return _described(error)


async def mcp_modern(url: str) -> Outcome:
    """Run the Python SDK, version 2, in each of its modes."""
    results: dict[str, str] = {}
    for mode in (REVISION, "auto", "legacy"):

        async def connected(mode: str = mode) -> str:
            async with (
                httpx2.AsyncClient(timeout=30, trust_env=False) as http,
                Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
            ):
                results[f"{mode}: list"] = ",".join(tool.name for tool in (await client.list_tools()).tools)
                result = await client.call_tool("read", {"id": "ENG-101"})
                results[f"{mode}: call"] = "tool error" if result.is_error else "ok"
                arguments = {"title": "x", "text": "x"}
                results[f"{mode}: call beyond the scope"] = await _came(lambda: client.call_tool("create", arguments))
            return "ok"

        results[f"{mode}: connect"] = await _came(connected)
    wanted = {"legacy: connect": ADVICE}
    for mode in (REVISION, "auto"):
        beyond = "insufficient_scope.*tool.write"
        wanted |= {f"{mode}: connect": "^ok$", f"{mode}: list": "^search,read$", f"{mode}: call": "^ok$"}
        wanted[f"{mode}: call beyond the scope"] = beyond
    return Outcome("Python SDK 2", metadata.version("mcp")).expect(results, wanted)


async def mcp_legacy(folder: Path, url: str) -> Outcome:
    """Run the Python SDK, version 1, in its own virtual environment.  Raises `Missing`."""
    python = await environment(folder / "mcp-1", f"mcp=={LEGACY}")
    _, output = await run(python, Path(__file__).parent / "clients" / "legacy.py", url)
    return Outcome("Python SDK 1 (2025-11-25)", LEGACY).expect(printed(output), {"connect": ADVICE})


async def agent(url: str) -> Outcome:
    """Run the A2A SDK's client, configured by the card."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        client = ClientFactory(ClientConfig(streaming=False, httpx_client=http)).create(card)

        async def said(context_id: str | None = None, *, image: bool = False) -> str:
            parts = [new_raw_part(b"PNG", media_type="image/png")] if image else [new_text_part("Hello.")]
            message = new_message(parts, role=Role.ROLE_USER, context_id=context_id)
            [answer] = [answer async for answer in client.send_message(SendMessageRequest(message=message))]
            return f"{answer.message.context_id}: {get_message_text(answer.message)}"

        results = {
            "card: security": ",".join(sorted(name for one in card.security_requirements for name in one.schemes)),
            "send": await _came(said),
            "send in a context": await _came(lambda: said("c-1")),
            "send an image": await _came(lambda: said(image=True)),
            "get a task": await _came(lambda: client.get_task(GetTaskRequest(id="x"))),
            "list tasks": await _came(lambda: _listed(client)),
        }
    return Outcome("A2A SDK", metadata.version("a2a-sdk")).expect(
        results,
        {
            "card: security": "^certificate,token$",
            "send": r"^[0-9a-f-]{36}: ",
            "send in a context": "^c-1: ",
            "send an image": "^ContentTypeNotSupportedError",
            "get a task": "^TaskNotFoundError",
            "list tasks": "^0$",
        },
    )


async def _listed(client: A2AClient) -> int:
    return len((await client.list_tasks(ListTasksRequest())).tasks)


async def openai(thinking: str, listing: str) -> Outcome:
    """Run the OpenAI client against the inference service.  Raises `Missing`."""
    try:
        library: Any = import_module("openai")
    except ImportError as error:
        raise Missing("the package openai is not installed") from error
    clients = [library.AsyncOpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) for url in (thinking, listing)]
    asked = {"model": "scripted", "messages": [{"role": "user", "content": "Hello."}]}

    async def chat(**more: str) -> str:
        answer = await clients[0].chat.completions.create(**(asked | more))
        return f"{answer.id} {answer.choices[0].finish_reason}"

    async def stream() -> str:
        parts = [part async for part in await clients[0].chat.completions.create(**asked, stream=True)]
        return f"{len(parts)} {parts[-1].choices[0].finish_reason}"

    async def models() -> str:
        return ",".join([model.id async for model in clients[1].models.list()])

    results = {
        "chat": await _came(chat),
        "stream": await _came(stream),
        "unknown model": await _came(lambda: chat(model="another")),
        "models": await _came(models),
    }
    wanted = {"chat": "^chatcmpl-.* stop$", "stream": "^[1-9].* stop$", "models": "^scripted$"}
    for client in clients:
        await client.close()
    return Outcome("OpenAI client", library.__version__).expect(results, wanted | {"unknown model": "^NotFoundError"})


async def strangers(url: str) -> Outcome:
    """Call the tool without a token, which has to be refused as the SDKs expect."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        answer = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    error = answer.json()["error"]
    results = {"status": str(answer.status_code), "code": str(error["code"]), "challenge": str(answer.headers)}
    wanted = {"status": "^401$", "code": "^-32010$", "challenge": "resource_metadata"}
    return Outcome("no token", "").expect(results, wanted)
