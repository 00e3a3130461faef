"""How a kernel meets the system that another process runs: by one file in the run's folder.

The file has the folders of the project and of its run, the issuer, and what a cell signs in with: the passwords of this
run's users, and those of the realm of figure 1 with its application's secret.  Keycloak's administrator is not in it.
Only this user can read it.
"""

import json
import os
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.spiffe.svid_issuer import Issuer
from lab.before.one_token.realm import Realm
from local.alone import DemoError
from local.keycloak import Keycloak
from local.system import DEPLOYMENT, ROOT, System
from zerotrust.issuer.discovery import discover
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import LOCK, REGISTRY, load_lock
from zerotrust.registry.model import load_registry

NAME, SOCKET = "notebooks.json", "systems.sock"
VARIABLE = "ZT_NOTEBOOKS"
"""Names the file to a kernel."""
STOPPED = (
    "The system of the notebooks is stopped. Where a notebook runs its copy of it, run the last cell of that notebook; "
    "where `make notebooks` has ended, start it. Then run this cell again."
)


def write(system: System, before: Realm) -> Path:
    """Write the file of a running system; `before` is the realm of figure 1."""
    keycloak, file = system.keycloak, system.folder / NAME
    found = {
        "project": str(ROOT),
        "issuer": keycloak.issuer,
        "folder": str(system.folder),
        "passwords": keycloak.passwords,
        "before": {"passwords": before.passwords, "secret": before.secret},
    }
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(found))
    return file


async def attach(file: Path | None = None) -> System:
    """Return the running system.  Raises `DemoError` where none runs."""
    given = _read(file)
    project = Path(given["project"])
    folder, ca_file = Path(given["folder"]), Path(given["folder"]) / "ca.pem"
    registry, lock = load_registry(project / REGISTRY), load_lock(project / LOCK)
    # Neither of the two is started: they know where the running ones are.
    authority = Authority(registry, lock, project, folder, port=0, issuer=Issuer)
    realm = json.dumps({"realm": given["issuer"].rpartition("/")[2]})
    keycloak = Keycloak(folder, realm=realm, truststore=ca_file, certificate=ca_file, key=ca_file)
    keycloak.passwords = given["passwords"]
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=10) as http:
        keycloak.metadata = await discover(keycloak.issuer, http)
    deployment = load_deployment(project / DEPLOYMENT.relative_to(ROOT), registry)
    return System(registry, deployment, lock, folder, keycloak, authority)


def realm_of_figure_1(system: System, file: Path | None = None) -> Realm:
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
