"""Signs a user in at the running system, without a browser, and prints access token and key: `start/run start token`.

Both are for a variable of the shell, from which `start/ask` and `start/proof` read them.

The password is typed at a terminal without echo, or is a line of standard input.  It is never an argument or a
variable: a process of the same user can read those of every process that is not closed (`/proc/PID/cmdline`,
`/proc/PID/environ`), and every user of the machine can read the command line.
"""

import asyncio
import sys
from pathlib import Path

import typer
from rich.text import Text

from start.keycloak.options import URL
from start.program import FOLDER
from start.system import EVERYTHING
from testkit.browser import Person
from zt.errors import CommandError
from zt.people.sign_in import client_at, sign_in_at
from zt.terminal import Terminal

CA = FOLDER / "ca.pem"
ISSUER = f"{URL}/realms/agents"
LONGEST = 1024
"""Characters; Keycloak takes no more than 256."""


def ask_password() -> str:
    """Return the password.  Exit with a message if there is none, or it is too long."""
    if sys.stdin.isatty():
        typed = str(typer.prompt("Password", hide_input=True))
        if len(typed) > LONGEST:
            sys.exit(f"A password has at most {LONGEST} characters.")
        return typed
    line = sys.stdin.readline(LONGEST + 1).rstrip("\r\n")
    if not line or len(line) > LONGEST:
        sys.exit(f"The password is read from standard input: one line of at most {LONGEST} characters.")
    return line


def print_token(
    person: Person, scope: str = "", client: str = "walkthrough", *, issuer: str = ISSUER, ca: Path = CA
) -> int:
    """Print a user's token with these scopes, by default all, and its key in one line, or say why there is none.

    Return the exit status.
    """
    if sys.stdout.isatty():
        sys.exit("A token and its key belong in a variable, and on no screen: put TOKEN=$(…) around the command.")
    try:
        login = asyncio.run(sign_in_at(client_at(issuer, client, scope or EVERYTHING, ca=ca), person.sign_in))
    except CommandError as error:
        # On standard error, because the line is expected on standard output.
        Terminal(stderr=True, highlight=False, soft_wrap=True).print(Text(str(error), style="red"))
        return 1
    print(login.access_token, login.key.private)
    return 0
