"""M. Another process of the same user: secrets in arguments, in variables and in memory."""

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab.without import Control
from start.keycloak.instance import BUILT
from start.manual_steps import steps
from start.system import ROOT, System
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.spy import ORDINARY
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry
from zt.people.key import Key

PASSWORDS = {"alice": "a" * 32}
"""Of who signs in in the terminal; an operator does that in a browser."""
TOKEN, KEY = "eyJhbGciOiJ.eyJzdWIi.c2lnbmVk", Key().private

# Stands for curl, zt and whatever else is run: notes its arguments and variables, and apart from these what it reads.
STAND_IN = """#!/bin/sh
{ printf '%s\\n' "$@"; env; } >> SEEN
for argument; do case "$argument" in @*) cat "${argument#@}" >> GIVEN;; esac; done
case "$0" in *curl) ;; *) cat >> GIVEN;; esac
echo TOKEN
"""
OPENSSL = """#!/bin/sh
{ printf '%s\\n' "$@"; env; } >> SEEN
exec REAL "$@"
"""


def typed(place: Path, registry: Registry) -> tuple[str, str]:
    """Type what `make up` prints.  Returns what every process could see of those that were run, and what they read."""
    seen, given = place / "seen", place / "given"
    text = STAND_IN.replace("SEEN", str(seen)).replace("GIVEN", str(given)).replace("TOKEN", f"{TOKEN} {KEY}")
    programs = dict.fromkeys(("bin/curl", "start/run", ".venv/bin/zt", "bin/sleep"), text)
    programs["bin/openssl"] = OPENSSL.replace("SEEN", str(seen)).replace("REAL", str(shutil.which("openssl")))
    for name, program in programs.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(program)
        (place / name).chmod(0o755)
    for name in ("ask", "proof"):
        shutil.copy(ROOT / "start" / name, place / "start")
    (place / "agents" / "writer").mkdir(parents=True)
    keycloak = SimpleNamespace(passwords=PASSWORDS)
    journal = ROOT / "run" / "journal.jsonl"
    system = SimpleNamespace(keycloak=keycloak, registry=registry, journal=lambda _: journal)
    told = steps(cast("System", system)).partition("`make down`")[0].partition(":\n")[2]
    env = {"PATH": f"{place}/bin:{os.environ['PATH']}"}
    command = ["/bin/bash", "-uc", told]
    subprocess.run(command, cwd=place, env=env, input="", text=True, capture_output=True, check=False)  # noqa: S603
    return seen.read_text(), given.read_text()


@attack(134, Scene)
async def test_a_secret_among_the_arguments_of_what_a_person_types(target: Scene) -> Tries:
    """The command line is open to every user of the machine, the variables to every process of the same user."""
    seen, given = typed(target.place, load_registry(ROOT / "registry.yaml"))
    secrets = [*PASSWORDS.values(), TOKEN]
    found = [secret for secret in (*secrets, KEY) if secret in seen]
    if not found:
        assert all(secret in given for secret in secrets)
    yield Attempt("not seen", bool(found))


# --- Keycloak ---------------------------------------------------------------------------------------------------------

# Starts Java as for Keycloak's first start, but that it waits for a debugger before it loads anything.
BOOTSTRAP = """
import asyncio, json, pickle, sys
from pathlib import Path

from authorities.attestation.process.closed import Interpreter
from start.keycloak.server import Keycloak
from start.keycloak.java import find_java
from lab.without import without

WAIT = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:0"

async def main():
    place, missing = Path(sys.argv[1]), pickle.loads(bytes.fromhex(sys.argv[2]))
    files = {name: place / name for name in ("truststore", "certificate", "key")}
    keycloak = Keycloak(place / "run", realm='{"realm": "agents"}', **files)
    keycloak._instance.prepare(place / "distribution")
    with without(*missing):
        java = Interpreter(str(find_java(lambda _: None)))
        process = await keycloak._launch(java, [WAIT], [], keycloak._administrator_options())
    print(json.dumps({"pid": process.pid, "secret": keycloak.admin[1]}), flush=True)
    sys.stdin.readline()
    process.kill()
    await process.wait()

asyncio.run(main())
"""

SPY = """
import json, sys
seen = {}
for name in ("cmdline", "environ", "mem", "maps", "fd/0", "exe"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            seen[name] = file.read(1 << 16).decode(errors="replace") if name != "mem" else "opened"
    except OSError as error:
        pass
print(json.dumps(seen))
"""


def spied(place: Path, missing: Sequence[Control]) -> tuple[dict[str, str], str]:
    """What a process of the same user, without any privilege, can read of Keycloak's; and the password in question."""
    for name in ("lib/lib", "lib/app", BUILT, "conf"):
        (place / "distribution" / name).mkdir(parents=True)
    (place / "distribution" / "lib" / "quarkus-run.jar").touch()
    program = [sys.executable, "-c", BOOTSTRAP, str(place), pickle.dumps(missing).hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, **ORDINARY) as started:  # noqa: S603
        assert started.stdout
        told = json.loads(started.stdout.readline())
        spy = [sys.executable, "-c", SPY, str(told["pid"])]
        seen = subprocess.run(spy, capture_output=True, text=True, check=True, **ORDINARY).stdout  # noqa: S603
        started.communicate("\n")
    return dict(json.loads(seen)), str(told["secret"])


@pytest.mark.e2e
@attack(133, Scene)
async def test_the_passwords_that_keycloak_was_given(scene: Scene) -> Tries:
    seen, secret = await asyncio.to_thread(spied, scene.place, scene.missing)
    found = "mem" in seen or secret in seen["cmdline"]
    assert found or seen.keys() == {"cmdline"}
    yield Attempt("a password" if found else "no password", found)


@pytest.mark.e2e
@pytest.mark.asyncio(loop_scope="session")
async def test_no_password_is_among_the_arguments_and_variables_of_the_running_keycloak(real: System) -> None:
    keycloak = real.keycloak
    secrets = [*keycloak.passwords.values(), keycloak.admin[1]]

    for name in ("cmdline", "environ"):
        try:
            text = await asyncio.to_thread(Path(f"/proc/{keycloak.pid}/{name}").read_text)
        except PermissionError:  # for whoever is not root
            continue
        assert not [secret for secret in secrets if secret in text], name
