"""Runs the system of figure 1 beside a Keycloak that has its realm: model, tool, agents, orchestrator."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from lab.before.one_token.orchestrator import orchestrator_app
from lab.before.one_token.process import Agent
from lab.before.one_token.realm import APP, Realm
from lab.before.one_token.use import OneToken
from lab.before.tool import Documents
from lab.conformance.running import empty_folder
from lab.conformance.serving import hosting
from start.llama_stack import scripted_model

AGENTS = ("agent/reader", "agent/writer")
KEY_HEADER = "x-api-key"


@asynccontextmanager
async def one_token(users: Realm, folder: Path) -> AsyncIterator[OneToken]:
    """Run the system for a block; `folder` is its own, and is emptied.  Raises `httpx.HTTPError`."""
    folder = empty_folder(folder)
    documents = Documents(key := secrets.token_hex(16), header=KEY_HEADER)
    async with AsyncExitStack() as opened:
        (credentials := folder / "app.env").touch(mode=0o600)
        credentials.write_text(f"{APP}\n{users.secret}\n")
        model = await opened.enter_async_context(hosting(scripted_model.app))
        tool = f"{await opened.enter_async_context(hosting(documents.app()))}/mcp"
        agents = {name: Agent(folder / name.replace("/", "-"), TOOL=tool, MODEL=model, TOOL_KEY=key) for name in AGENTS}
        for agent in agents.values():
            await opened.enter_async_context(agent.running())
        addresses = {name: agent.url for name, agent in agents.items()}
        front = await opened.enter_async_context(hosting(orchestrator_app(users.issuer, await users.keys(), addresses)))
        http = await opened.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        doors = {"orchestrator": front, **addresses, "tool/documents": tool, "inference": model}
        yield OneToken(users, documents, doors, agents, credentials, http)
