"""Docker itself: whether it answers, and whether attestation can work on it.  Pure.

What it needs is in `docs/containers.md`.
"""

import re
from dataclasses import dataclass

from scripts.diagnosis.machine import MEMORY
from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

COMPOSE = (2, 7, 0)
"""From here on `up --wait` knows containers that end after their work, as `setup` does (docker/compose#9572)."""
ENGINE = (20, 10)
"""The oldest that was tried."""
STRICT_COMPOSE, BUILDX = (2, 40, 2), (0, 17, 0)
"""From that Compose on, an older buildx is refused (docker/compose#13295)."""
OVERLAY = {"overlay2", "overlayfs"}
"""Storage drivers whose containers have an overlay as root; the second is containerd's name for it."""


@dataclass(frozen=True, slots=True)
class Docker:
    """What `docker info` says, and the versions of its plugins."""

    installed: bool = True
    answers: bool = True
    said: str = ""
    """If it does not answer: its words."""
    place: str = ""
    """Where the client looks for it, if a variable says so."""
    server: str = ""
    compose: str = ""
    buildx: str = ""
    driver: str = ""
    security: tuple[str, ...] = ()
    runtime: str = ""
    system: str = ""
    memory: int = 0
    """Megabytes that Docker has: on Docker Desktop, of its virtual machine."""
    built: bool = True
    """Whether our images are there."""


def answers(docker: Docker) -> Verdict:
    """Whether the client is there and the engine answers."""
    if not docker.installed:
        said, repair = "Docker is not installed", "install it: https://docs.docker.com/engine/install"
    elif docker.answers:
        if version(docker.server) < ENGINE:
            oldest = ".".join(map(str, ENGINE))
            return note("docker", f"Docker {docker.server}: nothing older than {oldest} was tried")
        return ok("docker", f"Docker {docker.server}, {docker.system}")
    elif "permission denied" in docker.said.lower():
        said = "this user may not use Docker (permission denied)"
        repair = 'sudo usermod -aG docker "$USER", then log in again   (who is in that group can become root)'
    elif docker.place:
        said, repair = f"no Docker answers at {docker.place}", "unset DOCKER_HOST DOCKER_CONTEXT, or start that Docker"
    elif not docker.said or "cannot connect" in docker.said.lower():
        said = "Docker is installed and does not run" if docker.said else "Docker does not answer in time"
        repair = "sudo systemctl start docker   (or start Docker Desktop)"
    else:
        said, repair = f"Docker answers with an error: {docker.said}", "docker info"
    return wrong("docker", said, repair)


def compose(docker: Docker) -> Verdict:
    """Whether Compose can read and start the file, and build its images."""
    oldest = ".".join(map(str, COMPOSE))
    if not docker.compose:
        said = f"Docker has no Compose plugin: {oldest} or newer is needed"
        return wrong("compose", said, "sudo apt install docker-compose-plugin   (Debian, Ubuntu: docker-compose-v2)")
    if version(docker.compose) < COMPOSE:
        said = f"Compose {docker.compose} waits for `setup`, which ends, forever: {oldest} or newer is needed"
        return wrong("compose", said, "update the package docker-compose-plugin, or Docker Desktop")
    if docker.buildx and version(docker.compose) >= STRICT_COMPOSE and version(docker.buildx) < BUILDX:
        said = f"Compose {docker.compose} builds with buildx 0.17 or newer alone, and here is {docker.buildx}"
        if not docker.built:
            return wrong("compose", said, "update the package docker-buildx-plugin, or Docker Desktop")
        return note("compose", said)
    return ok("compose", f"Compose {docker.compose}")


def isolation(docker: Docker) -> Verdict:
    """Whether attestation can examine containers here."""
    options = {option.removeprefix("name=").split(",")[0]: option for option in docker.security}
    rule = "`docker compose logs attestation` says so if it hinders"
    if docker.runtime == "sysbox-runc":
        said = "Enhanced Container Isolation forbids `pid: host`, without which attestation sees no process"
        return wrong("isolation", said, "switch it off in Docker Desktop's settings, or use another machine")
    if "userns" in options:
        said = "userns-remap gives attestation another user than the parties, so it can read none of them"
        return wrong("isolation", said, 'remove "userns-remap" from /etc/docker/daemon.json; restart Docker')
    if docker.driver not in OVERLAY:
        said = f"the storage driver is {docker.driver}, and attestation knows overlay alone"
        return wrong("isolation", said, 'set "storage-driver": "overlay2" in /etc/docker/daemon.json; restart Docker')
    if "seccomp" not in options or "unconfined" in options["seccomp"]:
        said = "Docker limits no system calls (no seccomp filter), and attestation requires that"
        return wrong("isolation", said, 'remove "seccomp-profile" from /etc/docker/daemon.json; restart Docker')
    untried = [name for name in ("rootless", "apparmor", "selinux") if name in options]
    if untried:
        return note("isolation", f"{' and '.join(untried)}: not tried with attestation; {rule}")
    return ok("isolation", f"{docker.driver}, no user namespaces, AppArmor or SELinux")


def memory(docker: Docker) -> Verdict | None:
    """Whether Docker's own machine has room, if it has less than is needed."""
    if 0 < docker.memory < MEMORY["containers"]:
        said = f"Docker has {docker.memory} MB, and {MEMORY['containers']} MB are needed"
        return wrong("memory", said, "give Docker Desktop's virtual machine more memory (Settings, Resources)")
    return None


def unchecked(docker: Docker) -> list[Verdict]:
    """What cannot be checked without Docker."""
    why = "Docker does not answer" if docker.installed else "Docker is not installed"
    return [skipped(about, why) for about in ("compose", "isolation", "containers")]


def version(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[-+~]", text, maxsplit=1)[0])[:3])
