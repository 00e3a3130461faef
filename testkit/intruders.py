"""Acts as an intruder inside a genuine workload, in a test on real containers: with its identity and tokens of any hop.

The compose file has to run the intruders: containers with `ZT_INSIDER_SOCKET`, a Unix socket that answers with the
certificate or an assertion of the party that `/app/inside` names.
"""

import base64
import json
import ssl
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import jwt

from testkit.stack import Stack, StackError
from testkit.users import User, authorities, issuer, result_of, send
from zerotrust.issuer.client import credential
from zerotrust.issuer.discovery import discover
from zerotrust.issuer.exchange import TokenRequest
from zerotrust.spiffe.svid import Svid

SOCKET = "ZT_INSIDER_SOCKET"
ASK = f"""
import os, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect(os.environ["{SOCKET}"])
    there.sendall(sys.argv[1].encode() + b"\\n")
    print(there.makefile().readline())
"""


@dataclass(frozen=True)
class Intruder:
    """Runs code inside the genuine workload `party`."""

    stack: Stack
    party: str

    def send(
        self, party: str, path: str, token: str | None = None, *, method: str = "POST", **more: Any
    ) -> httpx.Response:
        """Send a request with this workload's certificate.  Raises `StackError` and `httpx.HTTPError`."""
        return send(self.stack, party, path, token, method=method, svid=self.svid(), **more)

    def token(self, token: str, audience: str, scope: str = "") -> str:
        """Return the token for the next hop, which Keycloak gives this workload for `token`.

        `scope`: by default all that the token has, this party may delegate and the next one can use or delegate.
        Raises `StackError` if Keycloak refuses, and `httpx.HTTPError`.
        """
        answer = self.exchange(token, audience, scope)
        if answer.status_code != 200:
            raise StackError(f"no token for {audience}: {answer.text}")
        return str(answer.json()["access_token"])

    def exchange(self, token: str, audience: str, scope: str = "") -> httpx.Response:
        """Return Keycloak's answer to the same request as `token` sends.  Raises `StackError` and `httpx.HTTPError`."""
        scopes = frozenset(scope.split()) or self._scopes(token, audience)
        form = TokenRequest(self.stack.registry.id(audience), scopes).form(token) | credential(self.assertion())
        tls, realm = ssl.create_default_context(cadata=authorities(self.stack)), issuer(self.stack)

        async def request() -> httpx.Response:
            async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=60) as http:
                return await http.post((await discover(realm, http, "token_endpoint")).token_endpoint, data=form)

        return result_of(request())

    def assertion(self) -> str:
        """Return a JWT-SVID for the realm.  Raises `StackError`."""
        return str(self._ask(issuer(self.stack))["jwt_svid"])

    def svid(self) -> Svid:
        """Return the certificate and its key.  Raises `StackError`."""
        told = self._ask("x509")
        key, own, *bundle = (base64.b64decode(part) for part in [told["key"], *told["certificates"]])
        return Svid.from_der(key, own, bundle)

    def _ask(self, line: str) -> dict[str, Any]:
        for service, container in self.stack.containers().items():
            variables = [line.partition("=")[0] for line in container.attrs["Config"]["Env"]]
            if SOCKET in variables and self.stack.execute(service, "cat", "/app/inside") == (0, self.party):
                status, printed = self.stack.execute(service, "python", "-I", "-c", ASK, line)
                if status or "error" in (told := json.loads(printed)):
                    raise StackError(f"{service}: {printed}")
                return dict(told)
        raise StackError(f"no container has an intruder inside {self.party}: which compose files run?")

    def _scopes(self, token: str, audience: str) -> frozenset[str]:
        registry, claims = self.stack.registry, jwt.decode(token, options={"verify_signature": False})
        party = registry.parties.get(audience)
        used = {*registry.scopes_at(audience), *(party.delegates if party else [])}
        return frozenset({*claims["scope"].split()} & {*registry.parties[self.party].delegates} & used)


def token_at(user: User, *path: str) -> str:
    """Return the token for the last party of a `path`, each of which calls the next; the user calls the first.

    Raises `StackError` if no intruder is inside one of the callers, or Keycloak refuses, and `httpx.HTTPError`.
    """
    token = user.token
    for caller, callee in pairwise(path):
        token = Intruder(user.stack, caller).token(token, callee)
    return token
