"""Runs the pass-through beside a running Keycloak: realm, model, tool, Llama Stack, agent.  Every secret is new."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from lab.before.llama_stack.agent import agent_app
from lab.before.llama_stack.realm import realm
from lab.before.llama_stack.stack import config, stack
from lab.before.realm import Users
from lab.before.tool import Documents
from lab.conformance.running import empty_folder
from lab.conformance.serving import hosting
from start import scripted_model
from start.keycloak import Keycloak


@dataclass(frozen=True)
class PassThrough:
    """The running pass-through, as its users and its attackers find it."""

    realm: Users
    documents: Documents
    agent: str
    stack: str
    tool: str
    """Addresses."""
    key: str = field(repr=False)
    """The tool's: the agent has it, and the Llama Stack gets it with each request."""
    http: httpx.AsyncClient


@asynccontextmanager
async def pass_through(keycloak: Keycloak, ca_file: Path, folder: Path) -> AsyncIterator[PassThrough]:
    """Run the pass-through for a block; `folder` is its own, and is emptied.  Raises `RunError`, `KeycloakError`."""
    folder = empty_folder(folder)
    documents = Documents(key := secrets.token_hex(16))
    async with AsyncExitStack() as opened:
        users = await opened.enter_async_context(realm(keycloak))
        model = await opened.enter_async_context(hosting(scripted_model.app))
        tool = f"{await opened.enter_async_context(hosting(documents.app()))}/mcp"
        settings = config(model, users.issuer, ca_file, folder)
        stack_url = await opened.enter_async_context(stack(settings, folder))
        agent = await opened.enter_async_context(hosting(agent_app(stack_url, tool, key)))
        http = await opened.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        yield PassThrough(users, documents, agent, stack_url, tool, key, http)
