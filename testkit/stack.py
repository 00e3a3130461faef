"""The system of a compose file in real containers, for tests: started from nothing, inspected, and removed.

It needs the extra `testbed`.  It asks Docker for ports, images and variables; services and folders that it has to know
are constants.
"""

import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from docker.models.containers import Container
from testcontainers.compose import DockerCompose
from testcontainers.core.docker_client import DockerClient

from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.errors import ZeroTrustError

_log = logging.getLogger(__name__)
ATTESTATION = "attestation"
"""Its service."""
HEALTHY = 600
"""Seconds in which all containers have to become healthy: ten times what two idle cores need."""
LONGEST = 900
"""Seconds for one command of `docker compose`."""
LETS_GO = 20
"""Seconds in which Docker lets go of the networks of removed containers; it takes one of them on an idle machine."""
HAPPENS = 180
"""Seconds for what has to happen in containers; it takes a few of them on an idle machine."""


class StackError(ZeroTrustError):
    """Docker, or a container, did not do what was asked of it.  The text repeats its output."""


class NoDockerError(StackError):
    """There is no Docker to ask."""


class Stack:
    """The containers of one compose project."""

    def __init__(self, folder: Path, files: Sequence[str] = ()) -> None:
        """`folder` has the compose file and `registry.yaml`; `files`: compose files in it, if not the default one.

        Raises `NoDockerError` and `RegistryError`.
        """
        try:
            self.docker = DockerClient().client
        except DockerException as error:
            raise NoDockerError(f"no Docker answers: {error}") from None  # without the exceptions of `requests`
        self.folder, self.compose = folder, DockerCompose(folder, list(files) or None)
        self.registry = load_registry(folder / "registry.yaml")

    def run(self, *command: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with these files, and `given` as its input.

        Raises `StackError` if it fails (unless `check` is false), and `subprocess.TimeoutExpired`.
        """
        whole = [*self.compose.docker_compose_command(), *command]
        done = subprocess.run(  # noqa: S603 - the user's own Docker
            whole, cwd=self.folder, input=given, capture_output=True, text=True, timeout=LONGEST, check=False
        )
        if check and done.returncode:
            raise StackError(f"docker compose {' '.join(command)}: {(done.stdout + done.stderr)[-4000:]}")
        return done

    @cached_property
    def project(self) -> str:
        """The name of the compose project, with which the names of its volumes begin."""
        return str(json.loads(self.run("config", "--format", "json").stdout)["name"])

    @contextmanager
    def running(self, *, keep: bool = False) -> Iterator["Stack"]:
        """Build and start everything for a block, from nothing, and leave nothing.

        `keep`: use what runs and what its volumes hold, and leave it running.  Raises `StackError`.
        """
        if not keep and self.leftovers():
            raise StackError(
                f"{self.project} has containers or volumes already: remove them (docker compose down -v), or keep them"
            )
        try:
            self.start()
            yield self
        finally:
            if not keep:
                self.stop()
            self.docker.close()

    def start(self) -> None:
        """Build and start what does not run, and wait until all are healthy.

        `docker compose up --wait` gives up when the first container has been unhealthy for a while, which on a busy
        machine passes.  Raises `StackError`, with the end of attestation's log as a note.
        """
        try:
            self.run("up", "--build", "--detach")
            if not wait_until(lambda: not self._unhealthy(), HEALTHY):
                raise StackError(f"not healthy after {HEALTHY} s: {', '.join(self._unhealthy())}")
        except StackError as error:
            with suppress(StackError):  # it may not even have been started
                error.add_note(self.log(ATTESTATION)[-2000:])
            raise

    def _unhealthy(self) -> list[str]:
        """Return the services whose container does not work yet, or no longer."""
        states = {service: container.attrs["State"] for service, container in self.containers().items()}
        return [service for service, state in states.items() if not works(state)]

    def stop(self) -> None:
        """Remove containers, networks and volumes, those of other compose files too.  Raises `StackError`.

        Docker lets go of a network a moment after its last container.  It can also lose count of them, and then refuses
        to remove the empty network until Docker itself is started again (moby/moby#42119).  Such a network stays, which
        is logged; the next `start` uses it.
        """
        down = self.run("down", "--volumes", "--remove-orphans", check=False)
        for container in self.docker.containers.list(all=True, ignore_removed=True, filters=self._ours):
            container.remove(force=True, v=True)
        wait_until(lambda: not self._networks_left(), LETS_GO)
        for volume in self.docker.volumes.list(filters=self._ours):
            volume.remove(force=True)
        for network in self.docker.networks.list(filters=self._ours, greedy=True):
            if inside := [one["Name"] for one in network.attrs["Containers"].values()]:
                said = f"{down.stdout}{down.stderr}"[-2000:]
                raise StackError(f"the network {network.name} is left, with {', '.join(inside)} in it: {said}")
            _log.warning("Docker does not remove the empty network %s before it is started again", network.name)

    @property
    def _ours(self) -> dict[str, Any]:
        """The filter that finds this project's containers, networks and volumes."""
        return {"label": f"com.docker.compose.project={self.project}"}

    def _networks_left(self) -> list[str]:
        """Remove what Docker lets go of; return the names of the others."""
        left = []
        for network in self.docker.networks.list(filters=self._ours):
            try:
                network.remove()
            except DockerException:
                left.append(str(network.name))
        return left

    def leftovers(self) -> list[str]:
        """Return the names of this project's containers and volumes, running or not."""
        containers = self.docker.containers.list(all=True, ignore_removed=True, filters=self._ours)
        volumes = self.docker.volumes.list(filters=self._ours)
        return sorted([*(str(one.name) for one in containers), *(str(one.name) for one in volumes)])

    def containers(self) -> dict[str, Container]:
        """Return the container of each service, as the package `docker` has it: with all that Docker knows of it."""
        labels = [f"com.docker.compose.{one}" for one in (f"project={self.project}", "oneoff=False")]
        found = self.docker.containers.list(all=True, ignore_removed=True, filters={"label": labels})
        return {container.labels["com.docker.compose.service"]: container for container in found}

    def container(self, service: str) -> Container:
        """Return a service's container.  Raises `StackError` if there is none."""
        found = self.containers()
        if service not in found:
            raise StackError(f"{service} has no container; {', '.join(sorted(found)) or 'no service'} has one")
        return found[service]

    def variables(self, service: str) -> dict[str, str]:
        """Return the environment variables of a service's container."""
        return dict(line.split("=", 1) for line in self.container(service).attrs["Config"]["Env"])

    def kill(self, service: str) -> int:
        """Kill a container's main process, as a crash would; return its process id on Docker's machine.

        `docker kill` would count as stopped by hand, after which no restart policy starts it again.
        """
        container = self.container(service)
        pid = int(container.attrs["State"]["Pid"])
        rights: dict[str, Any] = {"user": "0", "cap_drop": ["ALL"], "cap_add": ["KILL"], "network_mode": "none"}
        rights |= {"pid_mode": "host", "entrypoint": ["bash", "-c"]}
        self.docker.containers.run(container.attrs["Image"], [f"kill -9 {pid}"], remove=True, **rights)
        return pid

    def execute(self, service: str, *command: str, user: str = "") -> tuple[int, str]:
        """Run a command beside a container's main process; return its exit status and what it printed."""
        status, printed = self.container(service).exec_run(list(command), user=user)
        return int(status or 0), bytes(printed).decode(errors="replace")  # type: ignore[arg-type] # it is no stream

    def log(self, service: str) -> str:
        """Return what a service's container has printed."""
        return self.container(service).logs().decode(errors="replace")

    def attestation_events(self) -> list[dict[str, Any]]:
        """Return what attestation has logged: whom it attested, whom it refused and why, the latest last."""
        lines = [line for line in self.log(ATTESTATION).splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def refusals(self) -> list[str]:
        """Return why attestation has refused, the latest last."""
        return [event["why"] for event in self.attestation_events() if event["event"] == "refused"]


def works(state: Mapping[str, Any]) -> bool:
    """Return whether a container is healthy according to Docker, or has done its work and ended."""
    if state["Running"]:
        return bool(state.get("Health", {"Status": "healthy"})["Status"] == "healthy")
    return (state["Status"], state["ExitCode"]) == ("exited", 0)


def wait_until(found: Callable[[], object], seconds: float = HAPPENS) -> bool:
    """Wait for a condition; return whether it was met in time."""
    end = time.monotonic() + seconds
    while not (there := bool(found())) and time.monotonic() < end:
        time.sleep(0.3)
    return there
