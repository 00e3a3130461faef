"""What a test asks of the cluster that kubectl reaches."""

import json
import subprocess
import time
from collections.abc import Callable

SECONDS = 90


def kubectl(*arguments: str, given: object = None) -> str:
    """Run kubectl; return what it prints, errors as well."""
    command = ["kubectl", *arguments]
    text = None if given is None else json.dumps(given)
    run = subprocess.run(command, input=text, stdout=-1, stderr=-2, text=True, timeout=180, check=False)  # noqa: S603
    return run.stdout


def awaited(say: Callable[[], str], *parts: str) -> str:
    """Return what is said once it has all these parts.  Fail after `SECONDS`."""
    end = time.monotonic() + SECONDS
    while not all(part in (said := say()) for part in parts):
        assert time.monotonic() < end, f"no {parts} in:\n{said}"
        time.sleep(0.5)
    return said
