"""Facts that Docker tells.  Nothing is started, and nothing is changed."""

import contextlib
import datetime as dt
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.diagnosis.containers import Container
from scripts.diagnosis.docker import Docker
from scripts.diagnosis.gather.commands import MOST, run
from scripts.diagnosis.gather.local import DATABASE, suspended
from scripts.diagnosis.project import ONCE
from scripts.diagnosis.suspended import Suspended

LINES = 200
"""Of a log."""
MOST_OF_A_DATABASE = 32 << 20
ARCHIVE = 20_480
"""Bytes that an archive of one file has beside it."""
ALL = "attestation"
"""The service whose log is always read."""


def docker(project: str) -> tuple[Docker, str]:
    """Return what Docker says of itself and of a project, and the folder of its images, if that is on this machine."""
    if not shutil.which("docker"):
        return Docker(installed=False, answers=False), ""
    ran = run("docker", "info", "--format", "{{json .}}")
    info = _object(ran.text)
    place = os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT") or ""
    errors = info.get("ServerErrors") or []
    if not info.get("ServerVersion"):
        said = " ".join([*map(str, errors), ran.err]).strip()
        return Docker(answers=False, said=said if ran.status is not None else "", place=place), ""
    plugins = {
        plugin.get("Name"): plugin.get("Version", "") for plugin in info.get("ClientInfo", {}).get("Plugins", [])
    }
    image = run("docker", "image", "inspect", "--format", "{{.Id}}", f"{project}/attestation")
    return (
        Docker(
            server=str(info["ServerVersion"]),
            compose=str(plugins.get("compose") or run("docker", "compose", "version", "--short").text.strip()),
            buildx=str(plugins.get("buildx") or ""),
            driver=str(info.get("Driver", "")),
            security=tuple(map(str, info.get("SecurityOptions") or [])),
            runtime=str(info.get("DefaultRuntime", "")),
            system=str(info.get("OperatingSystem", "")),
            memory=int(info.get("MemTotal") or 0) // 1_000_000,
            built=image.status == 0,
        ),
        "" if place or "Desktop" in str(info.get("OperatingSystem")) else str(info.get("DockerRootDir", "")),
    )


def containers(project: str) -> list[tuple[Container, str]]:
    """Return the containers of a Compose project with their ids, each with its log if it does not work."""
    listed = run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={project}").text.split()
    if not listed:
        return []
    found = []
    for one in _list(run("docker", "inspect", *listed).text):
        labels = (one.get("Config") or {}).get("Labels") or {}
        if labels.get("com.docker.compose.oneoff") == "True":
            continue
        container = _container(one, labels)
        if container.service in (ALL, ONCE) or not container.works:
            container = _container(one, labels, _log(str(one["Id"])))
        found.append((container, str(one["Id"])))
    return found


def _container(one: Mapping[str, Any], labels: Mapping[str, str], log: Sequence[str] = ()) -> Container:
    state = one.get("State") or {}
    health = state.get("Health") or {}
    checks = [str(check.get("Output", "")).strip() for check in health.get("Log") or []]
    return Container(
        service=labels.get("com.docker.compose.service", ""),
        status=str(state.get("Status", "")),
        health=str(health.get("Status", "")),
        exit_status=int(state.get("ExitCode") or 0),
        pid=int(state.get("Pid") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error", "")),
        check=checks[-1] if checks else "",
        log=tuple(log),
        seconds=_since(str(state.get("StartedAt", ""))),
        folder=labels.get("com.docker.compose.project.working_dir", ""),
    )


def _since(started: str) -> int:
    try:
        return max(0, int((dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(started)).total_seconds()))
    except (ValueError, TypeError):
        return 0


def _log(container: str) -> list[str]:
    ran = run("docker", "logs", "--tail", str(LINES), container)
    return [*ran.text.splitlines(), *ran.err.splitlines()] if ran.status == 0 else []


def suspended_of(container: str) -> Suspended:
    """Return the suspended parties, from copies of the registry's files."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (DATABASE, f"{DATABASE}-wal"):  # what was changed last is in the second one, if there is one
            content = file_of(container, f"/data/{name}", MOST_OF_A_DATABASE)
            if content is not None:
                Path(folder, name).write_bytes(content)
            elif name == DATABASE:
                return None
        return suspended(Path(folder, DATABASE))


def file_of(container: str, path: str, most: int = MOST) -> bytes | None:
    """Return a file of a container, running or not; None if it cannot be had, or has more than `most` bytes."""
    ran = run("docker", "cp", f"{container}:{path}", "-", most=most + ARCHIVE)
    with contextlib.suppress(tarfile.TarError, OSError), tarfile.open(fileobj=io.BytesIO(ran.out)) as packed:
        for member in packed:
            if member.isfile() and member.size <= most and (file := packed.extractfile(member)):
                return file.read()
    return None


def published() -> dict[int, tuple[str, str]]:
    """Return the container that publishes each port of this machine, and its Compose project."""
    form = '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}'
    found = {}
    for line in run("docker", "ps", "--format", form).text.splitlines():
        name, _, rest = line.partition("\t")
        project, _, ports = rest.partition("\t")
        for part in ports.split(", "):
            outside, arrow, _ = part.partition("->")
            number = outside.rpartition(":")[2]
            if arrow and number.isdigit():
                found[int(number)] = (name, project)
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _list(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def same(file: Path, content: bytes | None) -> bool:
    """Return whether a file has this content; also if there is nothing to compare."""
    try:
        return content is None or file.read_bytes() == content
    except OSError:
        return True
