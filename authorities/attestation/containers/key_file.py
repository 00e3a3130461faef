"""Keeps the trust domain's keys over a restart of attestation, in a volume that it alone mounts.

Keycloak's certificate and truststore are of this CA: with new keys everything would have to restart with attestation.
"""

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from authorities.attestation.spiffe.certificates import Key
from authorities.attestation.spiffe.svid_issuer import Keys
from zerotrust.durable import write_file

FILE = "keys.json"


class KeysError(Exception):
    """The kept keys cannot be used; the text says why, and what to do."""


def load_keys(folder: Path) -> Keys:
    """Return the keys in `folder`, or new keys, kept there from now on.  Raises `KeysError`, or `OSError`."""
    file = folder / FILE
    if not file.exists():
        keys = Keys.new()
        kept = {"jwt": _pem(keys.jwt), "jwt_name": keys.jwt_name, "ca": _pem(keys.ca), "ca_name": keys.ca_name}
        write_file(file, json.dumps(kept).encode())
        return keys
    if (mode := file.stat().st_mode & 0o777) != 0o600:  # control: kept-keys-private
        raise KeysError(f"{file} has mode {mode:o}: others may have read it.  `docker compose down -v` removes it.")
    try:
        kept = json.loads(file.read_bytes())
        return Keys(_key(kept["jwt"]), str(kept["jwt_name"]), _key(kept["ca"]), str(kept["ca_name"]))
    except (ValueError, LookupError, TypeError) as error:
        raise KeysError(f"{file} is damaged ({type(error).__name__}): `docker compose down -v` removes it.") from error


def _pem(key: Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _key(pem: str) -> Key:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError("no EC key")
    return key
