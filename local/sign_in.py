"""Signs a user in at the system that `make up` left running, without a browser, and prints the access token."""

import asyncio
import sys

from rich.text import Text

from local.keycloak_options import URL
from local.password import ask_password
from local.program import FOLDER
from local.system import EVERYTHING
from zerotrust.testing.browser import Person
from zt.errors import CommandError
from zt.sign_in import client_at, sign_in_at
from zt.terminal import Terminal

CA = FOLDER / "ca.pem"
ISSUER = f"{URL}/realms/agents"


def print_token(user: str, scope: str, client: str) -> None:
    """Print a user's token with these scopes, by default all; exit with a message if there is none."""
    password = ask_password()
    try:
        person, at = Person(user, password), client_at(ISSUER, client, scope or EVERYTHING, ca=CA)
        login = asyncio.run(sign_in_at(at, person.sign_in))
    except CommandError as error:
        # On standard error, because the token is expected on standard output.
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error), style="red"))
        sys.exit(1)
    print(login.access_token)
