"""Operates in a test on real containers: by `zt` as a party, in a container for one command."""

import json
from typing import Any

from testkit.stack import Stack

SERVICE = "automation"


def built(stack: Stack) -> Stack:
    """Return the stack once it has the image: `docker compose up` does not build it.  Raises `StackError`."""
    stack.run("build", SERVICE)
    return stack


def operate(stack: Stack, *words: str, given: str = "") -> dict[str, Any]:
    """Run a command of `zt`, with `given` as its input, and return the JSON that it prints.

    Raises `StackError` if the command fails, such as for what the registry does not let the party do.
    """
    return dict(json.loads(stack.run("run", "--rm", "-T", "--no-deps", SERVICE, *words, "--json", given=given).stdout))
