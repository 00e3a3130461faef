"""Collects the facts, decides, and prints."""

import os
import sys
from pathlib import Path

from scripts.diagnosis.gather import docker, issuer, machine, ports
from scripts.diagnosis.gather import local as on_machine
from scripts.diagnosis.gather.commands import going_on
from scripts.diagnosis.machine import Disk
from scripts.diagnosis.order import CONTAINERS, LOCAL, WAYS, Facts, verdicts, ways
from scripts.diagnosis.project import project
from scripts.diagnosis.report import report
from scripts.diagnosis.verdict import cause

ROOT = Path(__file__).resolve().parents[2]
IMAGES, BUILT, RUN, CACHE = 3000, 500, 100, 400
"""Megabytes: to build all images, to run them; for `run/`, and to unpack what is fetched (`local/`)."""


def run(arguments: list[str]) -> int:
    """Check, print, and return the exit status."""
    if len(arguments) > 1 or not set(arguments) <= {*WAYS}:
        print("usage: python3 -I scripts/doctor.py [containers|local]", file=sys.stderr)
        return 2
    asked = "".join(arguments)
    try:
        with going_on("Looking"):
            facts = collected(ROOT, asked)
    except (OSError, LookupError) as error:
        print(f"The project's files cannot be read ({error}); `git status` names what is missing.", file=sys.stderr)
        return 2
    checked = ways(asked, facts.containers, facts.local)
    found = verdicts(facts, checked)
    running = bool(facts.containers) if CONTAINERS in checked else False
    running = running or (LOCAL in checked and facts.local.process is not None)
    print(report(found, checked, running=running, colour=machine.colour()), end="")
    return 1 if cause(found) else 0


def collected(root: Path, asked: str) -> Facts:
    """Return all facts.  Raises `OSError` and `LookupError` if this is no tree of the project."""
    ours = project(
        (root / "docker-compose.yml").read_text(),
        (root / "deploy/local.yaml").read_text(),
        (root / "local/keycloak_options.py").read_text(),
        of_env_file(root / ".env") | os.environ,
    )
    parties = {who["local"]: number for number, who in ours.ports.items() if who.get("local", "Keycloak") != "Keycloak"}
    local = on_machine.local(root, parties)
    engine, images = docker.docker(ours.name)
    found = docker.containers(ours.name) if engine.answers and asked != LOCAL else []
    ids = {container.service: one for container, one in found}
    answer = None
    if local.process is not None and asked != CONTAINERS:
        answer = issuer.ask(ours.issuer, issuer.ca_of_run(str(root / local.folder)), f"{local.folder}/ca.pem")
    elif any(container.service == "keycloak" and container.status == "running" for container, _ in found):
        ca = docker.file_of(ids["attestation"], "/public/ca.pem") if "attestation" in ids else None
        old_copy = "" if docker.same(root / "ca.pem", ca) else "ca.pem"
        answer = issuer.ask(ours.issuer, ca, "attestation's volume", old_copy)
    lock = docker.file_of(ids["attestation"], "/app/registry.lock") if "attestation" in ids else None
    return Facts(
        root=str(root),
        issuer=ours.issuer,
        machine=machine.machine(root),
        disks=_disks(root, images, built=engine.built, asked=asked),
        docker=engine,
        ports=ports.ports(ours.ports, docker.published() if engine.answers else {}, ours.name),
        containers=[container for container, _ in found],
        local=local,
        answer=answer,
        suspended=docker.suspended_of(ids["registry"]) if "registry" in ids else (),
        other_lock=not docker.same(root / "registry.lock", lock),
    )


def of_env_file(file: Path) -> dict[str, str]:
    """Return the variables of the file that Compose reads beside docker-compose.yml, if there is one."""
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    pairs = [line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#")]
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def _disks(root: Path, images: str, *, built: bool, asked: str) -> list[Disk]:
    """Return the room where something will be written."""
    found = []
    if images and asked != LOCAL:
        found.append(machine.disk(images, BUILT if built else IMAGES, "for images and volumes"))
    if asked != CONTAINERS:
        found += [machine.disk(root / "run", RUN, "for a run"), machine.disk(on_machine.cache_folder(), CACHE, "there")]
    return [one for one in found if one]
