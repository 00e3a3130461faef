"""Finds the first reason why the system does not start, or does not work, and names the repair.

    python3 -I start/doctor.py [containers|local]

`containers` is `docker compose up`, `local` is `make demo` and `make up`; without either it looks at what is in use.
It needs Python alone, because nothing may be set up yet.  It changes nothing.  Exit status 0: nothing is wrong.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RUNS = [ROOT / "run", ROOT / "run" / "walkthrough", ROOT / "run" / "notebooks"]
DATABASE = "revocations.db"
SECONDS = 10
"""For one question to Docker."""
MOST = 300
"""Characters of one text: a log's line can be long."""
FIRST = ("setup", "attestation", "database", "keycloak")
"""The services for which all others wait."""


class Finding(NamedTuple):
    """What was checked, and what was found."""

    about: str
    said: str
    repair: str = ""
    """Without one, nothing is wrong."""


def main() -> int:
    """Check, print, and return the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may have an older one
        print("Cause:  Python 3.11 or newer is needed, and this is " + sys.version.split()[0])
        print("Repair: make doctor PYTHON=python3.12   (`docker compose up` needs no Python)")
        return 1
    way = "".join(sys.argv[1:])
    if way not in ("", "containers", "local"):
        print("usage: python3 -I start/doctor.py [containers|local]", file=sys.stderr)
        return 2
    found = check(way)
    cause = next((finding for finding in found if finding.repair), None)
    if cause:
        print("Cause: ", clean(f"{cause.about}: {cause.said}"))
        print("Repair:", cause.repair)
    else:
        print("Nothing is wrong.  This was checked:")
    for finding in found:
        print(f"- {finding.about}:", clean(finding.said))
    return 1 if cause else 0


def check(way: str) -> list[Finding]:
    """Return what was found, in the order in which an earlier cause explains a later one."""
    fault, containers = ("", []) if way == "local" else ask_docker()
    if way == "containers" or containers:  # Docker is of no interest where it was not used
        repair = "install or start Docker until `docker info` answers; without Docker: make up"
        return [Finding("docker", fault, repair)] if fault else check_containers(containers)
    return check_this_machine()


# --- make demo, make up -----------------------------------------------------------------------------------------------


def check_this_machine() -> list[Finding]:
    """Return what is found of Python, the ports, the last start, and suspended parties."""
    found = [Finding("python", sys.version.split()[0])]
    if not (find_spec("pip") or shutil.which("uv") or (ROOT / ".venv/uv/bin/uv").exists()):
        found.append(Finding("python", "there is neither pip nor uv", "install uv: https://docs.astral.sh/uv"))
    if running := next((folder for folder in RUNS if is_locked(folder / "running.pid")), None):
        said = f"the system runs in {running}; `.venv/bin/zt status` asks each party whether it works"
        return [*found, Finding("start", said), *suspended_parties(database(running))]
    found += [
        Finding(
            "ports", f"port {port} is taken, and {party} needs it", f"ss -ltnp 'sport = :{port}'   (end what it names)"
        )
        for party, port in ports()
        if is_taken(port)
    ]
    failed = [file for folder in RUNS if (file := folder / "failed").is_file()]
    if failed:
        last = max(failed, key=lambda file: file.stat().st_mtime)
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.stat().st_mtime))
        found.append(
            Finding("start", f"the last one failed ({at}): {text_of(last)}", "make up   (once that is repaired)")
        )
        if words := error_in(text_of(last.parent / "keycloak" / "keycloak.log"), or_last=False):
            found.append(Finding("keycloak", f"the last error in its log: {words}"))
    return [*found, *suspended_parties(database(RUNS[0]))]


def ports() -> list[tuple[str, int]]:
    """Return who needs which port.  Read with patterns, because the standard library has no YAML."""
    parties = re.findall(r"^  (\S+): \{.*port: (\d+)", text_of(ROOT / "start/local.yaml"), re.MULTILINE)
    keycloak = re.findall(r"^(?:HEALTH_)?PORT = (\d+)", text_of(ROOT / "start/keycloak/options.py"), re.MULTILINE)
    return [*((party, int(port)) for party, port in parties), *(("Keycloak", int(port)) for port in keycloak)]


def is_taken(port: int) -> bool:
    """Return whether somebody listens on this port: tried by listening there for a moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no hindrance
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def is_locked(file: Path) -> bool:
    """Return whether a process holds the lock on this file, from proc(5): a lock of ours could hinder a start."""
    with contextlib.suppress(OSError):
        inode = str(file.stat().st_ino)
        locks = [line.split() for line in text_of(Path("/proc/locks")).splitlines()]
        return any("FLOCK" in fields and fields[-3].rpartition(":")[2] == inode for fields in locks)
    return False


def database(folder: Path) -> Path:
    """Return the registry's database of a run."""
    return folder / "data" / "authority-registry" / DATABASE


# --- docker compose up ------------------------------------------------------------------------------------------------


def ask_docker() -> tuple[str, list[str]]:
    """Return why Docker does not answer, or else the ids of this project's containers."""
    if not shutil.which("docker"):
        return "Docker is not installed", []
    status, out, err = run("docker", "compose", "ps", "--all", "--quiet")
    return ("", out.split()) if status == 0 else (err, [])


def check_containers(ids: list[str]) -> list[Finding]:
    """Return which containers do not work, each with the last error in its log, and suspended parties."""
    found: list[Finding] = []
    working: list[str] = []
    registry = ""
    for one in json.loads(run("docker", "inspect", *ids)[1]) if ids else ():
        labels, state = one["Config"]["Labels"], one["State"]
        name, status = labels["com.docker.compose.service"], state["Status"]
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        registry = one["Id"] if name == "registry" else registry
        healthy = status == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy"
        if healthy or (name == "setup" and (status, state["ExitCode"]) == ("exited", 0)):
            working.append(name)
            continue
        words = state.get("Error") or error_in("".join(run("docker", "logs", "--tail", "200", one["Id"])[1:]))
        said = f"its container is {status}, exit status {state['ExitCode']}: {words}"
        found.append(Finding(name, said, f"docker compose logs {name}; docker compose up --wait"))
    found.sort(key=lambda finding: finding.about not in FIRST)
    with tempfile.TemporaryDirectory() as folder:
        for name in (DATABASE, f"{DATABASE}-wal"):  # what was changed last is in the second one, if there is one
            run("docker", "cp", f"{registry}:/data/{name}", folder)
        parties = suspended_parties(Path(folder, DATABASE))
    causes = parties + found if "registry" in working else found + parties
    return [Finding("containers", f"{len(working)} of {len(working) + len(found)} work"), *causes]


def run(*command: str) -> tuple[int | None, str, str]:
    """Return the exit status of a program, its output and its errors.  One that is too slow ends with its children."""
    process = subprocess.Popen(  # noqa: S603 - none of it comes from outside
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, "", f"no answer within {SECONDS} s"
    return process.returncode, out, err


# --- either way -------------------------------------------------------------------------------------------------------


def suspended_parties(file: Path) -> list[Finding]:
    """Return the parties whose last change is a revocation: a start does not change that."""
    if not file.is_file():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            rows = connection.execute("SELECT name, cause FROM changes WHERE kind = 'party' ORDER BY number")
            causes = {str(name).split("/", 3)[-1]: cause for name, cause in rows}
    except sqlite3.Error:
        return [Finding("suspended", "not checked: the registry's database cannot be read")]
    return [
        Finding(
            "suspended",
            f"{name}: all its requests are refused, also after another start ({cause})",
            f"zt party reinstate {name}   (while the system runs, once the code of {name} is the approved one)",
        )
        for name, cause in sorted(causes.items())
        if cause and name != "authority/registry"  # the registry starts all the same
    ]


def error_in(log: str, *, or_last: bool = True) -> str:
    """Return the last line of a log that names an error; without one, its last line or nothing."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(ERROR|FATAL|CRITICAL|Error|Exception)\b", line)]
    return (errors or (lines if or_last else []) or [""])[-1]


def text_of(file: Path) -> str:
    """Return what a file has, or nothing if it cannot be read."""
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace").strip()
    return ""


def clean(text: str) -> str:
    """Return a text in one line, without what a terminal would obey."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= MOST else f"{line[: MOST - 4]} ..."


if __name__ == "__main__":
    sys.exit(main())
