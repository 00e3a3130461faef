"""The attestation authority as a container: examines who asks, issues SVIDs, and reports drift.  It launches nothing.

Its image holds `registry.yaml`, `registry.lock` and the pin of the base image.  Its volumes: `/keys`, which nobody else
mounts; `/run/identity` with the Workload API's socket; `/public` with the CA's certificate; `/keycloak-tls` with
Keycloak's certificate and key.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from grpclib.server import Server
from pydantic_settings import BaseSettings, SettingsConfigDict

from authorities.attestation.containers.attested import Containers, images
from authorities.attestation.containers.image import ImageFiles, load_pin
from authorities.attestation.containers.kept_keys import KeysError, kept_keys
from authorities.attestation.process.closed import NotClosedError, continue_closed
from authorities.attestation.process.peers import allow_open_files
from authorities.attestation.spiffe.bundle import BundleServer, tls_context
from authorities.attestation.spiffe.certificates import DAYS
from authorities.attestation.spiffe.svid_issuer import Issuer, issuer_of_closed_process
from authorities.attestation.spiffe.workload_api import WorkloadApi
from authorities.attestation.verifier.drift import Drift
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.report import report
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import LOCK, REGISTRY, load_lock
from zerotrust.registry.model import Registry, RegistryError, load_registry
from zerotrust.spiffe.svid import Svid

APP, KEYS, PUBLIC, KEYCLOAK = Path("/app"), Path("/keys"), Path("/public"), Path("/keycloak-tls")
SOCKET = Path("/run/identity/api.sock")
PIN = APP / "base.json"
DEPLOYMENT = "deploy/containers.yaml"
OF_REGISTRY = (
    *(REGISTRY, LOCK, DEPLOYMENT),
    *("authorities/policy/policies.cedar", "authorities/policy/schema.cedarschema"),
)
"""What the registry's image has besides its code; the same files are in this image."""


class Settings(BaseSettings):
    """Read from the environment.  A party whose variables differ from these gets no identity."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: str
    registry_party: str
    issuer: str
    issuer_at: str

    @property
    def variables(self) -> dict[str, str]:
        """The same, as variables."""
        return {f"ZT_{name.upper()}": str(value) for name, value in self} | {"SPIFFE_ENDPOINT_SOCKET": f"unix:{SOCKET}"}


class Source:
    """What is reported to the registry (`verifier/report.py`)."""

    def __init__(self, registry: Registry, issuer: Issuer, drift: Drift) -> None:
        self._registry, self._issuer, self._drift = registry, issuer, drift

    def changes(self) -> AsyncIterator[dict[str, str]]:
        """Yield the drifted parties, each with its files, now and at each change."""
        return self._drift.changes()

    def use(self, read_from: Mapping[str, str]) -> None:
        """Do nothing: what the registry reads is in its image, and measured there."""

    def svid(self) -> Svid:
        """Return a new SVID of attestation itself."""
        return own_svid(self._registry, self._issuer)

    def log(self, event: str, **fields: object) -> None:
        """Log an event."""
        log(event, **fields)


def own_svid(registry: Registry, issuer: Issuer) -> Svid:
    """Return a new X.509-SVID of attestation itself, with the lifetime of all others."""
    own = registry.authorities.attestation
    new = issuer.x509_svid(
        registry.id(own), registry.dns_name(own), now=dt.datetime.now(dt.UTC), life=registry.freshness.x509_svid
    )
    return Svid.from_der(*new, [issuer.ca_der])


async def serve(settings: Settings) -> None:
    """Serve until cancelled.  Raises `RegistryError`, `KeysError`, `NotClosedError`, `MeasureError` or `OSError`."""
    allow_open_files()
    registry, lock = load_registry(APP / REGISTRY), load_lock(APP / LOCK)
    authorities = registry.authorities
    port = load_deployment(APP / DEPLOYMENT, registry).parties[authorities.attestation].port
    own = ImageFiles()
    further = {f"/app/{name}": str(own.look_at("", f"/app/{name}")) for name in OF_REGISTRY}
    issuer = issuer_of_closed_process(registry.trust_domain, lambda: kept_keys(KEYS))
    async with contextlib.AsyncExitStack() as stack:
        drift = await stack.enter_async_context(Drift(log))
        containers = Containers(
            images(registry, lock, {authorities.registry: further}),
            load_pin(PIN),
            same=settings.variables,
            drift=drift,
            log=log,
        )
        await asyncio.to_thread(containers.read_own_image)
        _publish(issuer)
        tls = tls_context(*_server_certificate(issuer, registry.dns_name(authorities.attestation)))
        stack.callback(BundleServer(issuer.bundle(), port, tls, host="0.0.0.0").close)  # noqa: S104 - in its networks
        api = WorkloadApi(registry, containers, drift, issuer, log)
        server = Server([api])
        await server.start(path=str(SOCKET))  # asyncio replaces the socket of an earlier run
        os.chmod(SOCKET, 0o666)  # noqa: PTH101, S103 - every container may ask; who gets an answer is examined
        stack.callback(api.close)
        stack.callback(server.close)
        log("ready")
        await report(settings.registry, authorities.registry, Source(registry, issuer, drift))


def _publish(issuer: Issuer) -> None:
    """Write what others read: the CA's certificate, and Keycloak's own certificate and key."""
    (PUBLIC / "ca.pem").write_bytes(issuer.ca_pem)
    key, chain = _server_certificate(issuer, "localhost")
    for name, content in (("keycloak.crt", chain), ("keycloak.key", key), ("ca.pem", issuer.ca_pem)):
        file = KEYCLOAK / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o640)  # Keycloak has another user, and this group
        file.write_bytes(content)


def _server_certificate(issuer: Issuer, dns_name: str) -> tuple[bytes, bytes]:
    return issuer.server_certificate(dns_name, now=dt.datetime.now(dt.UTC), life=DAYS * 86400)


def log(event: str, **fields: object) -> None:
    """Print an event as a line of JSON, for `docker compose logs attestation`."""
    with contextlib.suppress(OSError):  # whoever reads the log may be gone; watching continues
        print(json.dumps({"time": dt.datetime.now(dt.UTC).isoformat(), "event": event, **fields}), flush=True)


async def _main() -> None:
    serving = asyncio.create_task(serve(Settings()))
    for number in signal.SIGTERM, signal.SIGINT:
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    continue_closed()
    try:
        asyncio.run(_main())
    except (OSError, ValueError, KeysError, NotClosedError, RegistryError, MeasureError) as problem:
        sys.exit(f"attestation: {problem}")
