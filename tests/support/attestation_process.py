"""The local attestation authority in a process of its own, which another process of the same user attacks."""

import argparse
import asyncio
import json
from pathlib import Path

from authorities.attestation.local.authority import Authority
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.lock import LOCK, REGISTRY, load_lock
from zerotrust.authority.files.snapshot_files import load_registry


async def serve(root: Path, run_dir: Path) -> None:
    """Serve until killed; a line of JSON says that it does."""
    registry = load_registry(root / REGISTRY)
    port = (
        load_deployment(root / "start" / "generated" / "local.yaml", registry)
        .parties[registry.authorities.attestation]
        .port
    )
    async with Authority(registry, load_lock(root / LOCK), root, run_dir, port=port) as authority:
        print(json.dumps({"ready": True, "bundle": authority.bundle_url, "ca": str(authority.ca_file)}), flush=True)
        await asyncio.Event().wait()


def run() -> None:
    """Read where from the command line, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.root, arguments.run_dir))
