"""Makes, once for its volumes, what `docker compose up` needs: passwords, and a realm with them to import.

At each later start it compares the realm in this image with the imported realm.

`start.setup llama-stack` also makes what the server of start/compose.llama-stack.yaml needs: its configuration, at each
start, and its TLS key, once.  It enrols that key at the registry; without that word, it removes the enrolment.
"""

import datetime as dt
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

from registration.realm import to_json
from registration.realm.users import USERS
from start.llama_stack.ogx import NAME, Place, Provider, configuration, new_server_key
from zerotrust.authority.files import snapshot_files as files
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.authority.files.snapshot_files import load_registry

ROOT = Path(__file__).parents[1]
KEYCLOAK, DATABASE, ACCOUNTS = Path("/setup/keycloak"), Path("/setup/database"), Path("/accounts")
SERVER, ENROLLED = Path("/setup/llama-stack"), Path("/registry", files.ENROLLED)
"""The Llama Stack server's volume, and the file of enrolled keys in the registry's."""
PROVIDER_KEY = Path("/run/secrets/provider-key")
LLAMA_STACK = Place(
    issuer=os.environ.get("ZT_ISSUER", "https://localhost:8443/realms/agents"),
    keys_uri=os.environ.get("ZT_ISSUER_AT", "https://keycloak:8443") + "/realms/agents/protocol/openid-connect/certs",
    ca="/public/ca.pem",
    host="server.llama-stack",  # its name in the network that it shares with inference: there alone it listens
    certificate="/setup/server.crt",
    key="/setup/server.key",
    folder="/tmp",  # noqa: S108 - in memory, of its container
)
SCRIPTED_MODEL = "http://scripted-model:8080/v1"
UNREADABLE = """\
The file OPENAI_API_KEY_FILE cannot be read in the container ({}), where no process has your user id.
Make it readable (chmod 644), in a folder that only you can enter (chmod 700).
"""
ADMIN = "admin"
STALE = """\
The realm in the volumes was imported from an older registry.yaml, or by other code, than that of these images.
Keycloak imports a realm only into an empty database.  Remove the volumes, and with them documents, journals and
revocations, and start again:

    docker compose down -v && docker compose up --wait
"""


def set_up() -> None:
    """Write all files, unless they are there.  Exit with a message if the imported realm differs."""
    realm = to_json(load_registry(ROOT / REGISTRY))
    digest, imported = hashlib.sha256(realm.encode()).hexdigest(), KEYCLOAK / "realm.sha256"
    if imported.exists():
        if imported.read_text() != digest:
            sys.exit(STALE)
        return
    passwords = {user: secrets.token_hex(16) for user in (ADMIN, *USERS)}
    database = secrets.token_hex(32)
    _write(ACCOUNTS / "passwords.json", json.dumps(passwords, indent=2), mode=0o600)
    # The database's own user reads this, so the mode is open; nobody else mounts the volume.
    _write(DATABASE / "password", database, mode=0o644)
    _write(KEYCLOAK / "keycloak.conf", keycloak_configuration(database, passwords[ADMIN]), mode=0o640)
    _write(KEYCLOAK / "realm.json", json.dumps(with_passwords(json.loads(realm), passwords)), mode=0o640)
    _write(imported, digest, mode=0o640)  # last: without it, everything is made again


def set_up_llama_stack() -> None:
    """Write the Llama Stack server's key, unless it is there, and its configuration; enrol the key.

    The provider's key comes by a file, so that no configuration of a container has it.
    """
    pin = SERVER / "spki.sha256"
    if not pin.exists():
        made = new_server_key("llama-stack", dt.datetime.now(dt.UTC))
        _write(SERVER / "server.key", made.key.decode(), mode=0o640)
        _write(SERVER / "server.crt", made.certificate.decode(), mode=0o640)
        _write(pin, made.spki_sha256, mode=0o640)  # last: without it, both are made again
    _write(SERVER / "config.json", configuration(LLAMA_STACK, _provider()), mode=0o640)
    _write(ENROLLED, json.dumps({NAME: pin.read_text()}), mode=0o600)


def _provider() -> Provider:
    if not (url := os.environ.get("OPENAI_BASE_URL")):
        return Provider(SCRIPTED_MODEL)
    if not (model := os.environ.get("OPENAI_MODEL")):
        sys.exit(f"Which model of {url}?  Set OPENAI_MODEL as well.")
    try:
        key = PROVIDER_KEY.read_text().strip() if PROVIDER_KEY.exists() else ""
    except OSError as error:
        sys.exit(UNREADABLE.format(error.strerror))
    return Provider(url, key, (model,))


def with_passwords(realm: dict[str, list[dict[str, object]]], passwords: dict[str, str]) -> dict[str, object]:
    """Return the realm, each person of it with a password.  Pure."""
    users = [
        {**user, "credentials": [{"type": "password", "value": passwords[str(user["username"])], "temporary": False}]}
        if user["username"] in passwords
        else user
        for user in realm["users"]
    ]
    return {**realm, "users": users}


def keycloak_configuration(database: str, admin: str) -> str:
    """Return Keycloak's configuration: where its database is, and the passwords for both.  Pure."""
    return (
        f"db-url=jdbc:postgresql://database/keycloak\ndb-username=keycloak\ndb-password={database}\n"
        f"bootstrap-admin-username={ADMIN}\nbootstrap-admin-password={admin}\n"
    )


def _write(file: Path, content: str, *, mode: int) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=mode)
    file.chmod(mode)  # whatever the umask is
    file.write_text(content)


def main(arguments: list[str]) -> None:
    """Set up what the compose files name.  Exit with a message for anything else."""
    if arguments not in ([], ["llama-stack"]):
        sys.exit(f"start.setup knows no {' '.join(arguments)!r}")
    set_up()
    if arguments:
        set_up_llama_stack()
    else:  # then no party connects to the server, whatever answers under its name
        ENROLLED.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
