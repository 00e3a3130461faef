"""A token as a reader of a notebook sees it: header and claims, with a name for each id and time.  Pure."""

import json
import re
from typing import Any

import jwt

from registration.realm.users import USERS

_ID = re.compile(r"(?:\w+:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = ("exp", "nbf", "auth_time")
_PLACES = ("clientAddress", "clientHost")


class Names:
    """The names of ids: the same id gets the same name in all of a notebook."""

    def __init__(self) -> None:
        self._given = {identifier: user for user, (identifier, _) in USERS.items()}

    def shown(self, token: str) -> str:
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
