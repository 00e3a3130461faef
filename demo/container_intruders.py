"""What is refused to intruders inside genuine containers, on `compose.intruders.yaml`: for `make attacks-compose`."""

import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.checks import Checks
from demo.containers import CA, ISSUER, Stack, passwords
from demo.parts import begin
from demo.refusals import attempts
from demo.walk import LEGEND
from local.insider import ask_inside, svid_inside
from local.program import console, until_stopped
from zerotrust.issuer.discovery import Metadata, discover
from zerotrust.spiffe.svid import Svid
from zt.login import issuer_http

INTRUDERS = Path("/intruders")


@dataclass(frozen=True)
class Realm:
    """The realm, as its clients reach it."""

    metadata: Metadata
    tls: ssl.SSLContext
    issuer: str = ISSUER


@dataclass(frozen=True)
class CompromisedStack(Stack):
    """The running containers, with intruders in three of them."""

    keycloak: Realm

    @property
    def endpoint(self) -> str:
        """The address of the Workload API."""
        return os.environ["SPIFFE_ENDPOINT_SOCKET"]

    @property
    def ca_file(self) -> Path:
        """The certificate that all parties' certificates are of, and Keycloak's."""
        return CA

    async def svid(self, name: str) -> Svid:
        """Return what an intruder inside a workload can get: its certificate and key."""
        return await svid_inside(_socket(name))

    async def assertion(self, name: str) -> str:
        """Return what an intruder inside a workload can get: a JWT-SVID for the realm."""
        return str((await ask_inside(_socket(name), ISSUER))["jwt_svid"])


def _socket(name: str) -> Path:
    return INTRUDERS / name.replace("/", "-") / "intruder.sock"


async def compromised(accounts: Mapping[str, str]) -> CompromisedStack:
    """Return the running containers; `accounts` has the users' passwords.

    Raises `httpx.HTTPError` if Keycloak does not answer.
    """
    tls = ssl.create_default_context(cafile=CA)
    async with issuer_http(tls) as http:
        realm = Realm(await discover(ISSUER, http, "token_endpoint"), tls)
    return CompromisedStack(accounts=accounts, keycloak=realm)


async def _attempts() -> int:
    system, checks = await compromised(passwords()), Checks()
    begin("What is refused", f"What intruders inside three genuine containers try. {LEGEND}")
    await checks.all(attempts(system))
    console.print(checks.close())
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(until_stopped(_attempts()))
