"""What attestation writes for others into volumes: the CA's certificate, and Keycloak's certificate and key."""

import datetime as dt
from pathlib import Path

from authorities.attestation.spiffe.certificates import DAYS
from authorities.attestation.spiffe.svid_issuer import Issuer

PUBLIC, KEYCLOAK = Path("/public"), Path("/keycloak-tls")


def publish(issuer: Issuer) -> None:
    """Write all of it anew.  Raises `OSError`."""
    (PUBLIC / "ca.pem").write_bytes(issuer.ca_pem)
    # `keycloak`: to whom its keys alone matter, such as a Llama Stack server, it is not the issuer's name.
    key, chain = server_certificate(issuer, "localhost", "keycloak")
    for name, content in (("keycloak.crt", chain), ("keycloak.key", key), ("ca.pem", issuer.ca_pem)):
        file = KEYCLOAK / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o640)  # Keycloak has another user, and this group
        file.write_bytes(content)


def server_certificate(issuer: Issuer, *dns_names: str) -> tuple[bytes, bytes]:
    """Return key and chain of a server that no SPIFFE client calls, valid for `DAYS`."""
    return issuer.server_certificate(*dns_names, now=dt.datetime.now(dt.UTC), life=DAYS * 86400)
