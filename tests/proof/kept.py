"""Starts a new checkout over the `run/` that an old one left, as `make up` does after an update, and runs a task.

start/run tests.proof.kept OLD NEW

It prints what happens in each checkout.  If `make up` says something else than in the old one, that is printed, too.
Both are started at the same ports, one after the other, and the `run/` of NEW is replaced by a copy of that of OLD.
"""

import asyncio
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from start.sign_in import ISSUER
from start.system import EVERYTHING
from testkit.browser import sign_in
from tests.proof.asked import FRONT, TASK
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.snapshot_files import build_snapshot, load_registry
from zt.people.client import user_client

PASSWORD = re.compile(r"^ +(\w+) +password (\S+)", re.MULTILINE)
COMMANDS = "audit verify", "audit verify run/data/authority-audit/log", "status"
"""The journals are whole from their first record on, the log is, and everybody runs."""


def make(checkout: Path, target: str) -> str:
    """Run a target of a checkout's Makefile; return its output.  If it fails, print that and exit; never passwords."""
    command = ["make", "-C", str(checkout), target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    print(f"{checkout}: make {target}: status {done.returncode}")
    if done.returncode:
        sys.exit(PASSWORD.sub(r"  \1", done.stdout + done.stderr))
    return done.stdout


async def task(checkout: Path, password: str) -> None:
    """Have alice run a task."""
    ca, registry = checkout / "run/ca.pem", load_registry(checkout / "registry.yaml")
    places = [checkout / "start/local.yaml", checkout / "deploy/local.yaml"]  # where it was before it moved
    deployment = load_deployment(next(file for file in places if file.exists()), registry)
    trust = ssl.create_default_context(cafile=ca)
    login = await sign_in(ISSUER, "walkthrough", "alice", password, EVERYTHING, verify=trust)
    async with user_client(build_snapshot(deployment, registry, approved={}).directory(), ca) as http:
        headers = {"authorization": f"Bearer {login.access_token}"}
        answer = await http.post(f"{registry.address(FRONT)}/tasks", headers=headers, json=TASK["json"])
    result = answer.json().get("result") or answer.json()
    print(f"{checkout}: a task: {answer.status_code} {result.get('event') or result.get('reason')}")


def run(checkout: Path) -> set[str]:
    """Start a checkout, use it, end it; return the lines that `make up` printed, without times and passwords."""
    said = make(checkout, "up")
    try:
        asyncio.run(task(checkout, dict(PASSWORD.findall(said))["alice"]))
        for words in COMMANDS:
            command = [str(checkout / ".venv/bin/zt"), *words.split()]
            done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)  # noqa: S603
            print(f"{checkout}: zt {words}: status {done.returncode}: {' '.join(done.stdout.split())[-100:]}")
    finally:
        make(checkout, "down")
    lines = PASSWORD.sub(r"\1", said).replace(str(checkout), "").splitlines()
    return {re.sub(r"\d+|'[^']*'", "#", line).strip() for line in lines if "so far" not in line}


def main(old: Path, new: Path) -> None:
    """Run the old checkout, and then the new one over what it kept."""
    before = run(old)
    if old != new:
        shutil.rmtree(new / "run", ignore_errors=True)
        subprocess.run(["cp", "-a", old / "run", new / "run"], check=True)  # noqa: S603, S607
    for line in sorted(run(new) - before):
        print(f"only in the second: {line}")


if __name__ == "__main__":
    main(*(Path(one).absolute() for one in sys.argv[1:]))
