"""Signs a user in at the running system, without a browser, and prints the access token."""

import asyncio
from pathlib import Path

from rich.text import Text

from local.keycloak_options import URL
from local.program import FOLDER
from local.system import EVERYTHING
from zerotrust.testing.browser import Person
from zt.errors import CommandError
from zt.sign_in import client_at, sign_in_at
from zt.terminal import Terminal

CA = FOLDER / "ca.pem"
ISSUER = f"{URL}/realms/agents"


def print_token(
    person: Person, scope: str = "", client: str = "walkthrough", *, issuer: str = ISSUER, ca: Path = CA
) -> int:
    """Print a user's token with these scopes, by default all, or say why there is none.  Return the exit status."""
    try:
        login = asyncio.run(sign_in_at(client_at(issuer, client, scope or EVERYTHING, ca=ca), person.sign_in))
    except CommandError as error:
        # On standard error, because the token is expected on standard output.
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error), style="red"))
        return 1
    print(login.access_token)
    return 0
