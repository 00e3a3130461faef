"""What a program prints on a terminal, as a text for a snapshot."""

import shlex
from collections.abc import Callable

from typer.testing import Result


def told(shown: Result) -> str:
    """Return what a person is told by a command: its output, its errors after `!`, and its status if it failed."""
    errors = [f"! {line}" for line in shown.stderr.splitlines()]
    status = [f"exit status {shown.exit_code}"] if shown.exit_code else []
    return "\n".join([*shown.stdout.splitlines(), *errors, *status])


def session(program: Callable[..., Result], *commands: str) -> str:
    """Return what a person sees who types these commands, one after the other."""
    return "".join(f"$ zt {command}\n{told(program(*shlex.split(command)))}\n" for command in commands)
