"""How a kernel meets the system that another process runs: by one file in the run's folder.

The file has the issuer, the folder, and the passwords of the accounts of this run, the administrator's among them: the
system of figure 1 has a realm of its own, and a kernel makes it.  Only this user can read it.
"""

import json
import os
from pathlib import Path

import httpx

from authorities.attestation.local.authority import Authority
from authorities.attestation.spiffe.svid_issuer import Issuer
from local.keycloak import Keycloak
from local.system import DEPLOYMENT, ROOT, System
from zerotrust.issuer.discovery import discover
from zerotrust.registry.deployment import load_deployment
from zerotrust.registry.lock import load_lock
from zerotrust.registry.model import load_registry

NAME = "notebooks.json"
VARIABLE = "ZT_NOTEBOOKS"
"""Names the file to a kernel."""


def write(system: System) -> Path:
    """Write the file of a running system."""
    keycloak, file = system.keycloak, system.folder / NAME
    found = {
        "issuer": keycloak.issuer,
        "folder": str(system.folder),
        "passwords": keycloak.passwords,
        "admin": keycloak.admin,
    }
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(found))
    return file


async def attach(file: Path | None = None) -> System:
    """Return the running system.  Raises `OSError` where none runs."""
    given = json.loads((file or Path(os.environ[VARIABLE])).read_text())
    folder, ca_file = Path(given["folder"]), Path(given["folder"]) / "ca.pem"
    registry, lock = load_registry(ROOT / "registry.yaml"), load_lock(ROOT / "registry.lock")
    # Neither of the two is started: they know where the running ones are.
    authority = Authority(registry, lock, ROOT, folder, port=0, issuer=Issuer)
    realm = json.dumps({"realm": given["issuer"].rpartition("/")[2]})
    keycloak = Keycloak(folder, realm=realm, truststore=ca_file, certificate=ca_file, key=ca_file)
    keycloak.passwords, keycloak.admin = given["passwords"], tuple(given["admin"])
    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=10) as http:
        keycloak.metadata = await discover(keycloak.issuer, http)
    return System(registry, load_deployment(DEPLOYMENT, registry), lock, folder, keycloak, authority)
