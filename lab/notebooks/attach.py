"""Connects a kernel to the system that `make notebooks` runs, by one file.

The file has the place of a system on this machine, and what a cell signs in with: the users' passwords, those of
figure 1's realm, and its application's secret.  Keycloak's administrator is not in it.  Only this user can read it.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.spiffe.svid_issuer import Issuer
from lab.before.one_token.realm import Realm
from registration.run_lock import RunError
from start.keycloak.server import Keycloak
from start.system import DEPLOYMENT, ROOT, Running, System
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.lock import LOCK, REGISTRY, load_lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.issuer.discovery import discover

NAME = "notebooks.json"
VARIABLE = "ZT_NOTEBOOKS"
"""Names the file to a kernel."""
STOPPED = "The system of the notebooks is stopped: start `make notebooks`, then run this cell again."


def write(system: System, before: Realm) -> Path:
    """Write the file of a system that this process runs, for this user alone; `before` is the realm of figure 1."""
    keycloak, file = system.keycloak, system.folder / NAME
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    figure_1 = {"passwords": before.passwords, "secret": before.secret}
    where = {"issuer": keycloak.issuer, "folder": str(system.folder)}
    file.write_text(json.dumps({"passwords": keycloak.passwords, "before": figure_1, **where}))
    return file


async def attach(file: Path | None = None) -> System:
    """Return the running system.  Raises `RunError` where none runs, and `httpx.HTTPError`."""
    # asyncio warns of a child that somebody else has waited for already: by chance, and of no interest to a reader.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    given = _read(file)
    folder, ca_file = Path(given["folder"]), Path(given["folder"]) / "ca.pem"
    registry, lock = load_registry(ROOT / REGISTRY), load_lock(ROOT / LOCK)
    # Neither of the two is started: they know where the running ones are.
    authority = Authority(registry, lock, ROOT, folder, port=0, issuer=Issuer)
    realm = json.dumps({"realm": given["issuer"].rpartition("/")[2]})
    keycloak = Keycloak(folder, realm=realm, truststore=ca_file, certificate=ca_file, key=ca_file)
    keycloak.passwords = given["passwords"]
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=10) as http:
        keycloak.metadata = await discover(keycloak.issuer, http)
    deployment = load_deployment(DEPLOYMENT, registry)
    return System(registry, deployment, lock, folder, keycloak, authority)


def realm_of_figure_1(system: Running, file: Path | None = None) -> Realm:
    """Return the realm that `make notebooks` has made for the system of figure 1."""
    return Realm(system.keycloak.tls, **_read(file)["before"])


def secrets_of(file: Path) -> list[str]:
    """Return every password and secret of the file."""
    given = _read(file)
    return [*given["passwords"].values(), *given["before"]["passwords"].values(), given["before"]["secret"]]


def _read(file: Path | None) -> dict[str, Any]:
    try:
        return dict(json.loads((file or Path(os.environ[VARIABLE])).read_text()))
    except FileNotFoundError as error:
        raise RunError(STOPPED) from error
