"""A token as a reader of a notebook sees it: header and claims, with a name for each id and time.  Pure."""

import json
import re
from typing import Any

import jwt
from cryptography import x509
from cryptography.x509.oid import NameOID

from registration.realm.users import USERS


def describe_certificate(certificate: x509.Certificate, *, signed_by: bytes) -> str:
    """Return what a party's certificate says, one thing a line.  Its signer has the certificate `signed_by`, in PEM.

    Raises `InvalidSignature` or `ValueError` if somebody else has signed it.
    """
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(signed_by))
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    valid = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    [signer] = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    lines = {
        "SPIFFE ID": ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier)),
        "host name": ", ".join(names.get_values_for_type(x509.DNSName)),
        "valid for": f"{valid.total_seconds():.0f} s",
        "signed by": str(signer.value).rpartition(" ")[0],  # without the number that makes each run's name another
        "may sign others": "yes" if extensions.get_extension_for_class(x509.BasicConstraints).value.ca else "no",
    }
    return "\n".join(f"{name:<16} {value}" for name, value in lines.items())


_ID = re.compile(r"(?:\w+:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = ("exp", "nbf", "auth_time")
_PLACES = ("clientAddress", "clientHost")


class Names:
    """The names of ids: the same id gets the same name in all of a notebook."""

    def __init__(self) -> None:
        self._given = {identifier: user for user, (identifier, _) in USERS.items()}

    def describe_token(self, token: str) -> str:
        """Return header and claims of a token, and never the token."""
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        began = int(claims["iat"])
        times = {name: f"iat + {claims[name] - began} s" for name in _TIMES if claims.get(name, 0) >= began}
        if "scope" in claims:  # a set (RFC 6749 section 3.3): Keycloak gives it in any order
            claims["scope"] = " ".join(sorted(str(claims["scope"]).split()))
        if "sid" in claims:
            claims["sid"] = self._name(str(claims["sid"]))
        claims |= dict.fromkeys(set(_PLACES) & claims.keys(), "<the caller's address>")
        claims |= dict.fromkeys(set(_TIMES) & claims.keys(), "before iat") | times | {"iat": "now"}
        header = jwt.get_unverified_header(token) | {"kid": "<the realm's key>"}
        text = json.dumps({"header": header, "claims": dict(sorted(claims.items()))}, indent=2, ensure_ascii=False)
        return _ID.sub(lambda found: self._name(found[0]), text)

    def _name(self, identifier: str) -> str:
        plain = identifier.rpartition(":")[2]
        return f"<{self._given.setdefault(plain, f'id {len(self._given) - len(USERS) + 1}')}>"
