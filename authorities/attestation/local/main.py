"""The attestation authority as a process: `scripts/run authorities.attestation.local.main --run-dir run`.

When it serves, it prints one line of JSON.  Then each line on standard input is a launch,
`{"party": "agent/reader", "env": {"ZT_NAME": "value"}}`, and is answered by one line.  The end of the input ends the
authority and what it launched, so the caller need not clean up.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from authorities.attestation.local.authority import Authority
from authorities.attestation.local.launch import Launch, LaunchError
from authorities.attestation.process.closed import NotClosedError
from authorities.attestation.verifier.measure import MeasureError
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import LOCK, REGISTRY, load_lock
from zerotrust.registry.model import Registry, load_registry
from zerotrust.registry.reading import RegistryError


class Request(BaseModel):
    """One line of input.  The registry, not the input, determines the code that runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    party: str
    env: dict[str, str] = {}


async def serve(root: Path, run_dir: Path) -> None:
    """Serve until standard input ends.

    Raises `NotClosedError`, `RegistryError`, `LaunchError`, `MeasureError` or `OSError`.
    """
    registry, lock = load_registry(root / REGISTRY), load_lock(root / LOCK)
    port = load_deployment(root / "deploy" / "local.yaml", registry).parties[registry.authorities.attestation].port
    async with Authority(registry, lock, root, run_dir, port=port) as authority:
        _print(ready=True, endpoint=authority.endpoint, bundle=authority.bundle_url, ca=str(authority.ca_file))
        async for line in await _standard_input():
            await _launch(authority, registry, line)


async def _launch(authority: Authority, registry: Registry, line: bytes) -> None:
    try:
        request = Request.model_validate_json(line)
        launched = await authority.launch(Launch.registered(registry, request.party, request.env))
    except (ValidationError, LaunchError) as error:
        _print(refused=str(error))
    else:
        _print(launched=request.party, pid=launched.process.pid)


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _print(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


async def _main() -> None:
    parser = argparse.ArgumentParser(description="Attestation for one machine.")
    parser.add_argument("--run-dir", type=Path, required=True, help="where sockets, logs and the CA go")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[3], help="the project's folder")
    arguments = parser.parse_args()
    serving = asyncio.create_task(serve(arguments.root, arguments.run_dir))
    # Both signals unwind `serve`, so that launched parties can end in order.
    for number in signal.SIGTERM, signal.SIGINT:
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def run() -> None:
    """Run as a program; see the module's docstring."""
    try:
        asyncio.run(_main())
    except (OSError, NotClosedError, RegistryError, LaunchError, MeasureError) as error:
        sys.exit(f"attestation: {error}")


if __name__ == "__main__":
    run()
