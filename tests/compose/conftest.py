"""The stack of `docker-compose.yml`, from nothing, under a project name of its own."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.system import ROOT

PROJECT = "zero-trust-agents"
"""The file's own name: its images are named after it, and its ports are published once."""
IDENTITY = """
from spiffe import WorkloadApiClient
with WorkloadApiClient(default_timeout=20) as client:
    print(client.fetch_x509_svid().spiffe_id)
"""


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit status."""

    status: int
    text: str


def run(*command: str, given: str = "", seconds: float = 600) -> Ran:
    """Run a command of Docker to its end."""
    done = subprocess.run(  # noqa: S603
        ["docker", *command],  # noqa: S607 - the user's own Docker
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
    )
    return Ran(done.returncode, done.stdout + done.stderr)


class Stack:
    """The running containers."""

    def compose(self, *command: str, given: str = "") -> Ran:
        """Run `docker compose`."""
        return run("compose", *command, given=given)

    def up(self) -> Ran:
        """Start what does not run, and wait until all are healthy."""
        return self.compose("up", "-d", "--wait", "--wait-timeout", "300")

    def name(self, service: str) -> str:
        """The container of a service."""
        return f"{PROJECT}-{service}-1"

    def main_process(self, service: str) -> int:
        """The process id, on this machine, of a container's main process."""
        return int(self.inspect(service)["State"]["Pid"])

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        found: dict[str, Any] = json.loads(run("inspect", self.name(service)).text)[0]
        return found

    def python(self, service: str, code: str, *options: str) -> Ran:
        """Run Python code beside a container's main process, as the party's own user."""
        return run("exec", "-i", *options, self.name(service), "python", "-I", "-", given=code)

    def log(self, service: str) -> str:
        """What a container has printed."""
        return self.compose("logs", "--no-log-prefix", service).text

    def refusals(self) -> list[str]:
        """Why attestation has refused, the latest last."""
        lines = [json.loads(line) for line in self.log("attestation").splitlines() if line.startswith("{")]
        return [line["why"] for line in lines if line["event"] == "refused"]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """All containers, healthy; nothing of them is left at the end."""
    stack = Stack()
    if run("version").status:
        pytest.skip("no Docker answers here")
    stack.compose("down", "-v", "--remove-orphans")
    built = stack.compose("build", "-q")
    assert built.status == 0, built.text
    started = stack.up()
    assert started.status == 0, started.text + stack.log("attestation")[-3000:]
    yield stack
    stack.compose("down", "-v", "--remove-orphans")
    left = run("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}").text
    left += run("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}").text
    assert left == ""
