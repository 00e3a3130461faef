"""M. Another process of the same user: secrets in arguments, in variables and in memory."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from demo.by_hand import steps
from demo.runtime import find_java
from demo.system import ROOT, System
from tests.support.attack import Attempt, Tries, attack
from tests.support.attack_folder import Folder, folder
from tests.support.spy import ORDINARY
from zerotrust.registry import Registry, load_registry

PASSWORDS = {"alice": "a" * 32, "olga": "0" * 32}
TOKEN = "eyJhbGciOiJ.eyJzdWIi.c2lnbmVk"

# Stands for curl, zt and whatever else is run: notes its arguments and variables, and apart from these what it reads.
STAND_IN = """#!/bin/sh
{ printf '%s\\n' "$@"; env; } >> SEEN
for argument; do case "$argument" in @*) cat "${argument#@}" >> GIVEN;; esac; done
case "$0" in *curl) ;; *) cat >> GIVEN;; esac
echo TOKEN
"""


def typed(place: Path, registry: Registry) -> tuple[str, str]:
    """Type what `make up` prints.  Returns what every process could see of those that were run, and what they read."""
    seen, given = place / "seen", place / "given"
    text = STAND_IN.replace("SEEN", str(seen)).replace("GIVEN", str(given)).replace("TOKEN", TOKEN)
    for name in ("bin/curl", "scripts/run", ".venv/bin/zt", "bin/sleep"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    (place / "agents" / "writer").mkdir(parents=True)
    keycloak = SimpleNamespace(passwords=PASSWORDS)
    system = SimpleNamespace(keycloak=keycloak, registry=registry, journal=lambda _: ROOT / "run" / "journal.jsonl")
    told = steps(cast("System", system)).partition("`make down`")[0].partition(":\n")[2]
    env = {"PATH": f"{place}/bin:{os.environ['PATH']}"}
    command = ["/bin/bash", "-uc", told]
    subprocess.run(command, cwd=place, env=env, input="", text=True, capture_output=True, check=False)  # noqa: S603
    return seen.read_text(), given.read_text()


@attack(134, folder)
async def test_a_secret_among_the_arguments_of_what_a_person_types(target: Folder) -> Tries:
    """The command line is open to every user of the machine, the variables to every process of the same user."""
    seen, given = typed(target.place, load_registry(ROOT / "registry.yaml"))
    secrets = [*PASSWORDS.values(), TOKEN]
    found = [secret for secret in secrets if secret in seen]
    if not found:
        assert all(secret in given for secret in secrets)
    yield Attempt("not seen", bool(found))


# --- Keycloak ---------------------------------------------------------------------------------------------------------

SPY = """
import json, sys
seen = {}
for name in ("cmdline", "environ", "mem", "maps", "fd/0", "exe"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            seen[name] = file.read(1 << 16).decode(errors="replace") if name != "mem" else "opened"
    except OSError as error:
        seen[name] = None
print(json.dumps(seen))
"""


def spied(pid: int) -> dict[str, str | None]:
    """What a process of the same user, without any privilege, can read of another one; None where it is refused."""
    command = [sys.executable, "-c", SPY, str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, **ORDINARY)  # noqa: S603
    return dict(json.loads(done.stdout))


@pytest.mark.e2e
@pytest.mark.attack(133, "refused")
@pytest.mark.asyncio(loop_scope="session")
async def test_the_passwords_that_keycloak_was_given(
    real: System, record_property: Callable[[str, object], None]
) -> None:
    """They are in none of its arguments and variables, and nothing but its arguments can be read."""
    keycloak = real.keycloak
    secrets = [*keycloak.passwords.values(), keycloak.admin[1]]

    seen = spied(keycloak.pid)

    assert {name for name, read in seen.items() if read is not None} == {"cmdline"}
    for name in ("cmdline", "environ"):
        text = Path(f"/proc/{keycloak.pid}/{name}").read_text()  # these tests started it; root reads it in any case
        assert not [secret for secret in secrets if secret in text], name
    record_property("answers", "no password")


@pytest.mark.e2e
def test_an_ordinary_java_can_be_read_by_that_spy() -> None:
    java: Any = subprocess.Popen(  # noqa: S603 - waits for its own debugger, so for ever
        [find_java(print), "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:0", "Nothing"],
        env={"SECRET": "in a variable"},
        stdout=subprocess.PIPE,
        **ORDINARY,
    )
    with java:
        java.stdout.readline()
        seen = spied(java.pid)
        java.kill()

    assert "in a variable" in str(seen["environ"])
    assert seen["mem"] == "opened"
