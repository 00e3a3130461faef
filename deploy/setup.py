"""Makes what `docker compose up` needs once for its volumes: passwords, and the realm to import with them.

At each later start it compares the realm in this image with the one that was imported.
"""

import hashlib
import json
import secrets
import sys
from pathlib import Path

from registration.realm import REALM_FILE
from registration.realm.users import USERS

KEYCLOAK, DATABASE, ACCOUNTS = Path("/setup/keycloak"), Path("/setup/database"), Path("/accounts")
ADMIN = "admin"
STALE = """\
The realm in the volumes was imported from an older keycloak-realm/realm.json than that of these images.
Keycloak imports a realm only into an empty database.  Remove the volumes, and with them documents, journals and
revocations, and start again:

    docker compose down -v && docker compose up --wait
"""


def set_up() -> None:
    """Write all files, unless they are there.  Exit with a message if the imported realm is another one."""
    realm = REALM_FILE.read_bytes()
    digest, imported = hashlib.sha256(realm).hexdigest(), KEYCLOAK / "realm.sha256"
    if imported.exists():
        if imported.read_text() != digest:
            sys.exit(STALE)
        return
    passwords = {user: secrets.token_hex(16) for user in (ADMIN, *USERS)}
    database = secrets.token_hex(32)
    _write(ACCOUNTS / "passwords.json", json.dumps(passwords, indent=2), mode=0o600)
    # The database's own user reads this, so the mode is open; nobody else mounts the volume.
    _write(DATABASE / "password", database, mode=0o644)
    _write(KEYCLOAK / "keycloak.conf", _configuration(database, passwords[ADMIN]), mode=0o640)
    _write(KEYCLOAK / "realm.json", json.dumps(with_passwords(json.loads(realm), passwords)), mode=0o640)
    _write(imported, digest, mode=0o640)  # last: without it, everything is made again


def with_passwords(realm: dict[str, list[dict[str, object]]], passwords: dict[str, str]) -> dict[str, object]:
    """Return the realm, each person of it with a password.  Pure."""
    users = [
        {**user, "credentials": [{"type": "password", "value": passwords[str(user["username"])], "temporary": False}]}
        if user["username"] in passwords
        else user
        for user in realm["users"]
    ]
    return {**realm, "users": users}


def _configuration(database: str, admin: str) -> str:
    return (
        f"db-url=jdbc:postgresql://database/keycloak\ndb-username=keycloak\ndb-password={database}\n"
        f"bootstrap-admin-username={ADMIN}\nbootstrap-admin-password={admin}\n"
    )


def _write(file: Path, content: str, *, mode: int) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=mode)
    file.chmod(mode)  # whatever the umask is
    file.write_text(content)


if __name__ == "__main__":
    set_up()
