"""How a kernel meets the system that another process runs: by one file in the run's folder.

The file has the issuer, the folder, and what a cell signs in with: the passwords of this run's users, and those of the
realm of figure 1 with its application's secret.  Keycloak's administrator is not in it.  Only this user can read it.
"""

import json
import os
from pathlib import Path
from typing import Any

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.spiffe.svid_issuer import Issuer
from lab.before.one_token.realm import Realm
from local.keycloak import Keycloak
from local.system import DEPLOYMENT, ROOT, System
from zerotrust.issuer.discovery import discover
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import load_lock
from zerotrust.registry.model import load_registry

NAME = "notebooks.json"
VARIABLE = "ZT_NOTEBOOKS"
"""Names the file to a kernel."""


def write(system: System, before: Realm) -> Path:
    """Write the file of a running system; `before` is the realm of figure 1."""
    keycloak, file = system.keycloak, system.folder / NAME
    found = {
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
    """Return the running system.  Raises `OSError` where none runs."""
    given = _read(file)
    folder, ca_file = Path(given["folder"]), Path(given["folder"]) / "ca.pem"
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    # Neither of the two is started: they know where the running ones are.
    authority = Authority(registry, lock, ROOT, folder, port=0, issuer=Issuer)
    realm = json.dumps({"realm": given["issuer"].rpartition("/")[2]})
    keycloak = Keycloak(folder, realm=realm, truststore=ca_file, certificate=ca_file, key=ca_file)
    keycloak.passwords = given["passwords"]
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=10) as http:
        keycloak.metadata = await discover(keycloak.issuer, http)
    return System(registry, load_deployment(DEPLOYMENT, registry), lock, folder, keycloak, authority)


def realm_of_figure_1(system: System, file: Path | None = None) -> Realm:
    """Return the realm that whoever runs the system has made for the system of figure 1."""
    return Realm(system.keycloak.tls, **_read(file)["before"])


def held(file: Path) -> list[str]:
    """Return every password and secret of the file."""
    given = _read(file)
    return [*given["passwords"].values(), *given["before"]["passwords"].values(), given["before"]["secret"]]


def _read(file: Path | None) -> dict[str, Any]:
    return dict(json.loads((file or Path(os.environ[VARIABLE])).read_text()))
