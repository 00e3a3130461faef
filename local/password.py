"""Reads a password for `scripts/run local token`: typed at a terminal without echo, or a line of standard input.

It is never an argument or a variable: a process of the same user can read those of every process that is not closed
(`/proc/PID/cmdline`, `/proc/PID/environ`), and every user of the machine can read the command line.
"""

import sys

import typer

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
