"""The attestation authority as a container: examines callers, issues SVIDs, and reports drift.  It launches nothing.

Its image holds `registry.yaml`, `registry.lock` and the pin of the base image.  Its volumes: `/keys`, which no other
container mounts; `/run/identity` with the Workload API's socket; `/public` with the CA's certificate; `/keycloak-tls`
with Keycloak's certificate and key.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from authorities.attestation.containers.attested import Containers, Image, images
from authorities.attestation.containers.image import ImageFiles, load_pin
from authorities.attestation.containers.key_file import KeysError, load_keys
from authorities.attestation.containers.settings import SOCKET, Settings
from authorities.attestation.process.closed import NotClosedError, close_process
from authorities.attestation.process.peers import allow_open_files
from authorities.attestation.spiffe.bounded_server import BoundedServer, container_caller
from authorities.attestation.spiffe.bundle import BundleServer, tls_context
from authorities.attestation.spiffe.certificates import DAYS
from authorities.attestation.spiffe.svid_issuer import Issuer, issuer_of_closed_process, own_svid
from authorities.attestation.spiffe.workload_api import WorkloadApi
from authorities.attestation.verifier.drift import LOGGER, Drift
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.report import report
from authorities.policy.decisions import FILE as TABLE
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.lock import LOCK, REGISTRY, Lock, load_lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import SCHEMA, load_registry, policy_files
from zerotrust.registry.model import Registry
from zerotrust.transport.logs import line_of

APP, KEYS, PUBLIC, KEYCLOAK = Path("/app"), Path("/keys"), Path("/public"), Path("/keycloak-tls")
PIN = APP / "base.json"
PACKAGES = {"inference": APP / "inference.packages.json", "authority/registry": APP / "registry.packages.json"}
"""The pin of what a party has in `/app/packages`, by the party's name."""
DEPLOYMENT, OF_KUBERNETES = "start/generated/containers.yaml", "start/generated/kubernetes.yaml"
POLICIES, ROOT = "policies", Path(__file__).parents[3]
OF_REGISTRY = REGISTRY, LOCK, DEPLOYMENT, OF_KUBERNETES
OF_OPERATING = REGISTRY, DEPLOYMENT, OF_KUBERNETES
OF_POLICY = (
    *(f"{POLICIES}/{file.name}" for file in policy_files(ROOT / POLICIES)),
    *(f"{POLICIES}/{name}" for name in (SCHEMA, TABLE)),
)
"""The files that the images of these parties have besides their code; this image has the same."""
Further = Callable[[Registry, Lock], list[Image]]
"""Returns images that are attested besides those of the registry's parties."""
RENEWED_AFTER = DAYS * 86400 / 2
"""Seconds after which this process ends; Docker starts it again, with new certificates of the same keys."""


async def serve(settings: Settings, further: Further) -> None:
    """Serve until cancelled, or until the certificates made at the start need to be renewed.

    Raises `RegistryError`, `KeysError`, `NotClosedError`, `MeasureError`, `TimeoutError` or `OSError`.
    """
    allow_open_files()
    SOCKET.unlink(missing_ok=True)  # of an earlier run: as long as it is there, this container counts as healthy
    registry, lock = load_registry(APP / REGISTRY), load_lock(APP / LOCK)
    authorities = registry.authorities
    port = load_deployment(APP / DEPLOYMENT, registry).parties[authorities.attestation].port
    issuer = issuer_of_closed_process(registry.trust_domain, lambda: load_keys(KEYS))
    async with contextlib.AsyncExitStack() as stack:
        drift = await stack.enter_async_context(Drift(log))
        containers = Containers(
            approved_images(registry, lock) + further(registry, lock),
            load_pin(PIN),
            same=settings.variables,
            drift=drift,
            log=log,
        )
        await asyncio.to_thread(containers.read_own_image)
        publish(issuer)
        tls = tls_context(*issuer.server_certificate(registry.dns_name(authorities.attestation)))
        stack.callback(BundleServer(issuer.bundle(), port, tls, host="0.0.0.0").close)  # noqa: S104 - in its networks
        api = WorkloadApi(registry, containers, drift, issuer, log, log_at="docker compose logs attestation")
        server = BoundedServer(api, container_caller)
        await server.start(path=str(SOCKET))
        os.chmod(SOCKET, 0o666)  # noqa: PTH101, S103 - every container may ask; who gets an answer is examined
        stack.callback(api.close)
        stack.callback(server.close)
        log("ready")
        async with asyncio.timeout(RENEWED_AFTER):
            own = partial(own_svid, registry, issuer)
            await report(settings.registry, authorities.registry, drift.changes(), svid=own, log=log)


def approved_images(registry: Registry, lock: Lock) -> list[Image]:
    """Return the parties' images: code by registry.lock, and files besides it as they are in this image.

    Raises `RegistryError`, `MeasureError`, `OSError` or `ValueError`.
    """
    own, authorities = ImageFiles(), registry.authorities
    further_files = {authorities.registry: OF_REGISTRY, authorities.policy: OF_POLICY}
    further_files |= {name: OF_OPERATING for name, party in registry.parties.items() if party.operates}
    further = {
        party: {f"/app/{name}": str(own.look_at("", f"/app/{name}")) for name in names}
        for party, names in further_files.items()
    }
    for party, file in PACKAGES.items():
        further[party] = further.get(party, {}) | load_pin(file)
    return images(registry, lock, further)


def log(event: str, **fields: object) -> None:
    """Print an event as a line of JSON, for `docker compose logs attestation`."""
    with contextlib.suppress(OSError):  # the reader of the log may be gone; watching continues
        print(line_of(event, fields, logger=LOGGER, at=time.time()), flush=True)


def publish(issuer: Issuer) -> None:
    """Write files for other containers: the CA's certificate, and what Keycloak needs.  Raises `OSError`."""
    (PUBLIC / "ca.pem").write_bytes(issuer.ca_pem)
    # `keycloak` is the name for clients that read only its keys, such as a Llama Stack server; the issuer's differs.
    key, chain = issuer.server_certificate("localhost", "keycloak")
    for name, content in (("keycloak.crt", chain), ("keycloak.key", key), ("ca.pem", issuer.ca_pem)):
        file = KEYCLOAK / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o640)  # Keycloak has another user, and this group
        file.write_bytes(content)


async def until_ended(serve: Coroutine[Any, Any, None]) -> None:
    """Run this until the process is asked to end."""
    serving = asyncio.create_task(serve)
    for number in signal.SIGTERM, signal.SIGINT:
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main(further: Further = lambda _registry, _lock: []) -> None:
    """Run until ended; exit with a message if that is not possible.  By default, the registry's parties alone."""
    close_process()
    try:
        asyncio.run(until_ended(serve(Settings(), further)))
    except TimeoutError:
        log("ends, to renew its certificates")
    except (OSError, ValueError, KeysError, NotClosedError, RegistryError, MeasureError) as problem:
        sys.exit(f"attestation: {problem}")


if __name__ == "__main__":
    main()
