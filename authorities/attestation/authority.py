"""The attestation authority of one machine: launcher, Workload API and key endpoint, put together."""

import datetime as dt
import json
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from grpclib.server import Server

from authorities.attestation.bundle import serve_bundle, tls_context
from authorities.attestation.issuer import Issuer
from authorities.attestation.launch import Launch, Launched, Launcher
from authorities.attestation.workload_api import WorkloadApi
from zerotrust.registry import Registry

NAME = "authority/attestation"


class Authority:
    """An async context: serves from entry on, launches when asked, ends what it launched on exit.

    Whoever composes it says what is launched in whose name, and is trusted to: a `Launch` is free to give.
    """

    def __init__(self, registry: Registry, root: Path, run_dir: Path) -> None:
        """`root` is the folder the registry's `code` is relative to; what is written goes below `run_dir`."""
        port = registry.parties[NAME].port
        if port is None:
            raise ValueError(f"the registry gives {NAME} no port")
        self._registry, self._root, self._port, run_dir = registry, root.resolve(), port, run_dir.resolve()
        self._private, self._logs = run_dir / "attestation", run_dir / "logs"
        self._issuer = Issuer(registry.trust_domain)
        self._stack = AsyncExitStack()
        self._socket = self._private / "api.sock"
        self.ca_file = run_dir / "bundle-ca.pem"
        self.bundle_url = f"https://localhost:{port}/bundle"

    @property
    def running(self) -> list[Launched]:
        """What was launched and has not ended."""
        return self._launcher.running

    @property
    def endpoint(self) -> str:
        """The value of `SPIFFE_ENDPOINT_SOCKET`."""
        return f"unix:{self._socket}"

    async def __aenter__(self) -> Self:
        """Serve. Raises `OSError` where the port or the run folder cannot be had."""
        async with AsyncExitStack() as stack:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            # First, for a second authority fails here, before it clears away what is the first one's.
            tls, ca = tls_context(dt.datetime.now(dt.UTC))
            bundle = await serve_bundle(self._issuer.bundle(), self._port, tls)
            stack.callback(bundle.close)
            self.ca_file.write_bytes(ca)
            shutil.rmtree(self._private, ignore_errors=True)
            self._private.mkdir(mode=0o700)
            stages = self._private / "stages"
            stages.mkdir()
            self._launcher = Launcher(self._root, stages=stages, logs=self._logs, endpoint=self.endpoint, log=self._log)
            api = WorkloadApi(self._launcher, self._issuer, life=self._registry.freshness.svid, log=self._log)
            server = Server([api])
            await server.start(path=str(self._socket))
            self._socket.chmod(0o600)
            # Without `wait_closed`, which since Python 3.12 waits for clients that stay connected.
            stack.callback(api.close)
            stack.callback(server.close)
            stack.push_async_callback(self._launcher.end)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def launch(self, launch: Launch) -> Launched:
        """Measure and run; from now on this process, and no other by that launch, has the party's identity.

        Raises `LaunchError`.
        """
        return self._launcher.start(launch)

    def _log(self, event: str, **fields: object) -> None:
        line = {"time": dt.datetime.now(dt.UTC).isoformat(), "event": event, **fields}
        with (self._logs / f"{NAME.replace('/', '-')}.log").open("a") as file:
            file.write(json.dumps(line) + "\n")
