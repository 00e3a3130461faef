"""Runs the pass-through beside a running Keycloak: realm, model, tool, Llama Stack, agent.  Every secret is new."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab.before.llama_stack.agent import agent_app
from lab.before.realm import Users, audience, new_passwords, realm_of, temporary_realm
from lab.before.tool import Documents
from lab.conformance.running import empty_folder
from lab.conformance.serving import hosting
from registration.run_lock import RunError
from start.before_start import check_port
from start.child import end
from start.keycloak.server import Keycloak
from start.llama_stack import scripted_model
from start.llama_stack.server import HOST, OGX, start_program
from start.program import showing_progress
from start.system import ROOT
from testkit.browser import REDIRECT

PORT = 8331
"""The Llama Stack server of `make before`, in plain http."""


def config(model: str, issuer: str, ca_file: Path, folder: Path) -> dict[str, Any]:
    """Return the server's configuration.  Pure."""
    auth = {
        "type": "oauth2_token",
        "audience": AUDIENCE,
        "issuer": issuer,
        "jwks": {"uri": f"{issuer}/protocol/openid-connect/certs"},
        "tls_cafile": str(ca_file.absolute()),
    }
    provider = {"base_url": f"{model}/v1", "api_key": "none"}  # its client wants some
    return {
        "version": 2,
        "distro_name": "before",
        "apis": ["inference", "responses", "tool_runtime", "files", "vector_io"],
        "providers": {
            "inference": [{"provider_id": "provider", "provider_type": "remote::openai", "config": provider}],
            "responses": [
                {
                    "provider_id": "builtin",
                    "provider_type": "inline::builtin",
                    "config": {
                        "persistence": {
                            "agent_state": {"namespace": "agents", "backend": "kv_default"},
                            "responses": {"table_name": "responses", "backend": "sql_default"},
                        }
                    },
                }
            ],
            "tool_runtime": [{"provider_id": "mcp", "provider_type": "remote::model-context-protocol", "config": {}}],
            "files": [
                {
                    "provider_id": "files",
                    "provider_type": "inline::localfs",
                    "config": {
                        "storage_dir": str(folder / "files"),
                        "metadata_store": {"table_name": "files", "backend": "sql_default"},
                    },
                }
            ],
            "vector_io": [],
        },
        "storage": {
            "backends": {
                "kv_default": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql_default": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv_default"},
                "inference": {"table_name": "inference", "backend": "sql_default"},
                "conversations": {"table_name": "conversations", "backend": "sql_default"},
                "prompts": {"table_name": "prompts", "backend": "sql_default"},
                "connectors": {"namespace": "connectors", "backend": "kv_default"},
            },
        },
        "server": {"host": HOST, "port": PORT, "auth": {"provider_config": auth}},
    }


@asynccontextmanager
async def stack(settings: dict[str, Any], folder: Path) -> AsyncIterator[str]:
    """Run the server for a block, and yield its origin.  Raises `RunError`, `KeycloakError`, `LlamaStackError`."""
    if not OGX.exists():
        raise RunError(f"{OGX.relative_to(ROOT)} is missing: `make .ogx/ready` (Python 3.12 or newer)")
    check_port(PORT, "the Llama Stack server")
    file = folder / "ogx.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(settings))
    command = [str(OGX), "run", str(file), "--port", str(PORT), "--insecure"]
    with showing_progress("The Llama Stack server is starting"):
        process = await start_program(command, HOST, PORT, folder / "ogx.log")
    try:
        yield f"http://{HOST}:{PORT}"
    finally:
        await end(process)


NAME, CLIENT, AUDIENCE = "before-llama-stack", "app", "llama-stack"


@asynccontextmanager
async def realm(keycloak: Keycloak) -> AsyncIterator[Users]:
    """Have the realm at a running Keycloak for a block."""
    passwords = new_passwords()
    async with temporary_realm(keycloak, representation(passwords)):
        yield Users(keycloak.tls, passwords, NAME, CLIENT)


def representation(passwords: dict[str, str]) -> dict[str, Any]:
    """Return the realm as Keycloak imports it.  Pure."""
    client = {"clientId": CLIENT, "publicClient": True, "redirectUris": [REDIRECT]}
    return realm_of(NAME, [client | {"protocolMappers": [audience(AUDIENCE)]}], passwords)


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
