"""The attestation authority of one machine: launcher, Workload API and bundle endpoint."""

import contextlib
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Self

from authorities.attestation.local.environment import Environment, EnvironmentPinError, unfit_message
from authorities.attestation.local.launch import Launch, Launched, Launcher, LaunchError, Places
from authorities.attestation.process.peers import allow_open_files
from authorities.attestation.spiffe.bounded_server import BoundedServer, process_caller
from authorities.attestation.spiffe.bundle import PATH, BundleServer, tls_context
from authorities.attestation.spiffe.svid_issuer import Issuer, issuer_of_closed_process, own_svid
from authorities.attestation.spiffe.workload_api import WorkloadApi
from authorities.attestation.verifier.drift import LOGGER, Drift
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.report import report
from authorities.attestation.verifier.target import RegistryFiles
from zerotrust.authority.files.lock import LOCK, Lock, lock_of
from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.registry.model import Registry
from zerotrust.transport.logs import line_of


class Authority:
    """An async context: serves from entry on, launches on request, and on exit ends what it launched.

    The composer is trusted: it may launch any code under any name, and pass a lock that approves more than
    `registry.lock` does.
    """

    def __init__(  # noqa: PLR0913 - its dependencies, each by name
        self,
        registry: Registry,
        lock: Lock,
        root: Path,
        run_dir: Path,
        *,
        port: int,
        environment: Path = Path(sys.prefix),
        issuer: Callable[[str], Issuer] = issuer_of_closed_process,
    ) -> None:
        """`root` is the folder that the registry's `code` is relative to; all output goes below `run_dir`.

        `port` is where Keycloak reads the keys; `environment` is the virtual environment that launched parties run in;
        `issuer` makes the keys of a trust domain.  Raises `NotClosedError` if other processes could read them.
        """
        self._registry, self._lock, self._root, self._port = registry, lock, root.resolve(), port
        self._prefix, run_dir = environment, run_dir.resolve()
        self._private, self._logs = run_dir / "attestation", run_dir / "logs"
        self._issuer, self._name = issuer(registry.trust_domain), registry.authorities.attestation
        self._stack = AsyncExitStack()
        self._socket = self._private / "api.sock"
        self.ca_file = run_dir / "ca.pem"
        self.bundle_url = f"{registry.address(self._name)}:{port}{PATH}"

    @property
    def running(self) -> list[Launched]:
        return self._launcher.running

    @property
    def endpoint(self) -> str:
        """The value of `SPIFFE_ENDPOINT_SOCKET`."""
        return f"unix:{self._socket}"

    @property
    def drifted(self) -> dict[str, str]:
        """The launched parties that get no identity, by name, each with the files that have changed."""
        return self._drift.drifted

    async def report(self, address: str, party: str) -> None:
        """Report to the registry at `address`, which is the party `party`, until cancelled."""
        own = partial(own_svid, self._registry, self._issuer)
        await report(address, party, self._drift.changes(), svid=own, log=self.log, use=self._use)

    def _use(self, read_from: Mapping[str, str]) -> None:
        """Launch by the lock that the registry read at an operator's reload, if the files here are the same.

        `read_from`: SHA-256 by file name, as the registry reports it.
        """
        with contextlib.suppress(RegistryError, MeasureError):  # a file has changed again, which drift reports
            if self._registry_files.was_reloaded(read_from):
                text = read_content(file := self._root / LOCK)
                if hashlib.sha256(text).hexdigest() == read_from[LOCK]:
                    self._launcher.lock = lock_of(text, file)
                    self._registry_files.use(read_from)
                    self._drift.check_all()

    def server_certificate(self, dns_name: str) -> tuple[bytes, bytes]:
        """Return key and certificate, in PEM, for a server without a SPIFFE ID, such as Keycloak."""
        return self._issuer.server_certificate(dns_name)

    async def __aenter__(self) -> Self:
        """Start to serve.

        Raises `OSError` if the port or the run folder is not available, `MeasureError` if the registry's files cannot
        be read, and `LaunchError` if the environment is not as installed, so that nothing can be launched.
        """
        allow_open_files()
        try:
            environment = Environment.load(self._prefix)
        except EnvironmentPinError as error:
            raise LaunchError(str(error)) from error
        async with AsyncExitStack() as stack:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            # First, because a second authority fails here, before it removes the files of the first one.
            tls = tls_context(*self.server_certificate(self._registry.dns_name(self._name)))
            stack.callback(BundleServer(self._issuer.bundle(), self._port, tls).close)
            self.ca_file.write_bytes(self._issuer.ca_pem)
            shutil.rmtree(self._private, ignore_errors=True)
            self._private.mkdir(mode=0o700)
            stages = self._private / "stages"
            stages.mkdir()
            self._registry_files = RegistryFiles(self._root)
            self._drift = await stack.enter_async_context(Drift(self.log))
            await self._drift.follow(environment)
            if environment.changed:
                raise LaunchError(unfit_message(environment))
            places = Places(root=self._root, stages=stages, logs=self._logs, endpoint=self.endpoint)
            more = {self._registry.authorities.registry: self._registry_files}
            self._launcher = Launcher(
                places, self._lock, environment, log=self.log, ended=self._drift.remove, more=more
            )
            api = WorkloadApi(self._registry, self._launcher, self._drift, self._issuer, self.log)
            server = BoundedServer(api, process_caller)
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
        """Measure and run a party's code; from now on this process, and no other, has that identity.

        Raises `LaunchError`.
        """
        launched = self._launcher.start(launch)
        try:
            await self._drift.add(launched.target)
        except OSError as error:
            launched.process.kill()
            raise LaunchError(f"{launch.name}: {error}") from error
        return launched

    def log(self, event: str, **fields: object) -> None:
        """Append an event to the authority's own log; a failure to write is ignored, so that watching continues."""
        line = line_of(event, fields, logger=LOGGER, at=time.time())
        with contextlib.suppress(OSError), (self._logs / f"{self._name.replace('/', '-')}.log").open("a") as file:
            file.write(f"{line}\n")
