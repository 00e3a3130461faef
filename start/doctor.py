"""Finds the first reason why the system does not start, or does not work, and names the repair.

    python3 -I start/doctor.py [containers|local]

`containers` is `docker compose up`, `local` is `make demo` and `make up`; without either it looks at what is in use.
It needs Python alone, because nothing may be set up yet.  It changes nothing.  Exit status 0: nothing is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RUNS = [ROOT / "run", ROOT / "run" / "walkthrough", ROOT / "run" / "notebooks"]
SECONDS = 10
"""For one question to Docker."""
MOST = 300
"""Characters of one text: a log's line can be long."""
FIRST = ("setup", "attestation", "database", "keycloak")
"""The services for which all others wait."""


class Finding(NamedTuple):
    """A check and its result."""

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
    """Return what is found of Python, the running system, and the last start that failed."""
    found = [Finding("python", sys.version.split()[0])]
    if not (find_spec("pip") or shutil.which("uv") or (ROOT / ".venv/uv/bin/uv").exists()):
        found.append(Finding("python", "there is neither pip nor uv", "install uv: https://docs.astral.sh/uv"))
    if running := next((folder for folder in RUNS if is_locked(folder / "running.pid")), None):
        said = f"the system runs in {running}; `.venv/bin/zt status` asks each party whether it works"
        return [*found, Finding("start", said)]
    failed = [file for folder in RUNS if (file := folder / "failed").is_file()]
    if failed:
        last = max(failed, key=lambda file: file.stat().st_mtime)
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.stat().st_mtime))
        found.append(
            Finding("start", f"the last one failed ({at}): {text_of(last)}", "make up   (once that is repaired)")
        )
        if words := error_in(text_of(last.parent / "keycloak" / "keycloak.log"), or_last=False):
            found.append(Finding("keycloak", f"the last error in its log: {words}"))
    return found


def is_locked(file: Path) -> bool:
    """Return whether a process holds the lock on this file, from proc(5): a lock of ours could hinder a start."""
    with contextlib.suppress(OSError):
        inode = str(file.stat().st_ino)
        locks = [line.split() for line in text_of(Path("/proc/locks")).splitlines()]
        return any("FLOCK" in fields and fields[-3].rpartition(":")[2] == inode for fields in locks)
    return False


# --- docker compose up ------------------------------------------------------------------------------------------------


def ask_docker() -> tuple[str, list[str]]:
    """Return why Docker does not answer, or else the ids of this project's containers."""
    if not shutil.which("docker"):
        return "Docker is not installed", []
    status, out, err = run("docker", "compose", "ps", "--all", "--quiet")
    return ("", out.split()) if status == 0 else (err, [])


def check_containers(ids: list[str]) -> list[Finding]:
    """Return which containers do not work, each with the last error in its log."""
    found: list[Finding] = []
    working = 0
    for one in json.loads(run("docker", "inspect", *ids)[1]) if ids else ():
        labels, state = one["Config"]["Labels"], one["State"]
        name, status = labels["com.docker.compose.service"], state["Status"]
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        healthy = status == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy"
        if healthy or (name == "setup" and (status, state["ExitCode"]) == ("exited", 0)):
            working += 1
            continue
        words = state.get("Error") or error_in("".join(run("docker", "logs", "--tail", "200", one["Id"])[1:]))
        said = f"its container is {status}, exit status {state['ExitCode']}: {words}"
        found.append(Finding(name, said, f"docker compose logs {name}; docker compose up --wait"))
    found.sort(key=lambda finding: finding.about not in FIRST)
    return [Finding("containers", f"{working} of {working + len(found)} work"), *found]


def run(*command: str) -> tuple[int | None, str, str]:
    """Return the exit status of a program, its output and its errors.  A slow program ends with its children."""
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
