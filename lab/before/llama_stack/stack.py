"""The Llama Stack server (now OGX): the real one.  It checks issuer, audience and life of one broad token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.before.llama_stack.realm import AUDIENCE
from registration.run_lock import RunError
from start.before_start import check_port
from start.llama_stack import HOST, OGX, end, start_program
from start.program import showing_progress
from start.system import ROOT

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
