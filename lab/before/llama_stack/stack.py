"""The Llama Stack server (now OGX): the real one.  It checks issuer, audience and life of one broad token."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab.before.llama_stack.realm import AUDIENCE
from local.keycloak import check_port, end_with, tail
from local.system import ROOT, DemoError

OGX = ROOT / ".ogx" / "bin" / "ogx"
PORT = 8331
STARTS_WITHIN = 120
"""Seconds; many times what it needs."""


def config(model: str, model_key: str, issuer: str, ca_file: Path, folder: Path) -> dict[str, Any]:
    """Return the server's configuration.  Pure."""
    auth = {
        "type": "oauth2_token",
        "audience": AUDIENCE,
        "issuer": issuer,
        "jwks": {"uri": f"{issuer}/protocol/openid-connect/certs"},
        "tls_cafile": str(ca_file.absolute()),
    }
    provider = {"base_url": f"{model}/v1", "api_key": model_key}
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
        "server": {"host": "127.0.0.1", "port": PORT, "auth": {"provider_config": auth}},
    }


@asynccontextmanager
async def stack(settings: dict[str, Any], folder: Path) -> AsyncIterator[str]:
    """Run the server for a block, and yield its origin.  Raises `DemoError` and `KeycloakError`."""
    if not OGX.exists():
        raise DemoError(f"{OGX.relative_to(ROOT)} is missing: `make .ogx/ready` (Python 3.12 or newer)")
    check_port(PORT, "the Llama Stack server")
    file, log = folder / "ogx.yaml", folder / "ogx.log"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(settings))
    parent = os.getpid()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(str(OGX), "run", str(file), "--port", str(PORT), "--insecure"),
            env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: end_with(parent),
        )
    try:
        await _ready(process, log)
        yield f"http://127.0.0.1:{PORT}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http, asyncio.timeout(STARTS_WITHIN):
        while process.returncode is None:
            try:
                if (await http.get(f"http://127.0.0.1:{PORT}/v1/health")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise DemoError(f"The Llama Stack server does not start; the end of its log, {log}:\n{tail(log)}")
