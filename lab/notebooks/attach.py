"""How a kernel meets the system that `make notebooks` runs, or that runs in containers: by one file.

The file has the place of a system on this machine, and what a cell signs in with: the users' passwords, those of
figure 1's realm, and its application's secret.  Keycloak's administrator is not in it.  Only this user can read it.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.spiffe.svid_issuer import Issuer
from demo.containers import reached
from lab.before.one_token.realm import Realm
from local.alone import DemoError
from local.keycloak import Keycloak
from local.system import DEPLOYMENT, ROOT, Running, System
from zerotrust.issuer.discovery import discover
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import LOCK, REGISTRY, load_lock
from zerotrust.registry.model import load_registry

NAME = "notebooks.json"
VARIABLE = "ZT_NOTEBOOKS"
"""Names the file to a kernel."""
STOPPED = "The system of the notebooks is stopped: start `make notebooks`, then run this cell again."
NOT_HERE = "This notebook changes files of the running system: it needs `make notebooks`, in a clone."


def write(system: System, before: Realm) -> Path:
    """Write the file of a system that this process runs; `before` is the realm of figure 1."""
    keycloak, file = system.keycloak, system.folder / NAME
    stored(file, keycloak.passwords, before, issuer=keycloak.issuer, folder=str(system.folder))
    return file


def stored(file: Path, passwords: Mapping[str, str], before: Realm, **more: str) -> None:
    """Write the file, for this user alone."""
    found = {"passwords": passwords, "before": {"passwords": before.passwords, "secret": before.secret}, **more}
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(found))


async def attach(file: Path | None = None) -> Running:
    """Return the running system.  Raises `DemoError` where none runs, and `httpx.HTTPError`."""
    given = _read(file)
    return await attach_here(file) if "folder" in given else await reached(given["passwords"])


async def attach_here(file: Path | None = None) -> System:
    """Return the system that runs on this machine.  Raises `DemoError` if none does, also where it is in containers."""
    given = _read(file)
    if "folder" not in given:
        raise DemoError(NOT_HERE)
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
    """Return the realm that whoever runs the system has made for the system of figure 1."""
    return Realm(system.keycloak.tls, **_read(file)["before"])


def held(file: Path) -> list[str]:
    """Return every password and secret of the file."""
    given = _read(file)
    return [*given["passwords"].values(), *given["before"]["passwords"].values(), given["before"]["secret"]]


def _read(file: Path | None) -> dict[str, Any]:
    try:
        return dict(json.loads((file or Path(os.environ[VARIABLE])).read_text()))
    except FileNotFoundError as error:
        raise DemoError(STOPPED) from error
