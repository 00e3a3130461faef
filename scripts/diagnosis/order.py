"""All facts, and the checks in the order in which an earlier cause explains later symptoms.  Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scripts.diagnosis import containers, docker, issuer, local, machine, ports
from scripts.diagnosis.containers import Container
from scripts.diagnosis.docker import Docker
from scripts.diagnosis.issuer import Answer
from scripts.diagnosis.local import Local
from scripts.diagnosis.machine import Disk, Machine
from scripts.diagnosis.ports import Port
from scripts.diagnosis.suspended import Suspended, suspended
from scripts.diagnosis.verdict import Verdict, note

CONTAINERS, LOCAL = WAYS = "containers", "local"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was collected."""

    root: str
    issuer: str
    """The one that every party expects."""
    machine: Machine
    disks: Sequence[Disk]
    docker: Docker
    ports: Sequence[Port]
    containers: Sequence[Container]
    local: Local
    answer: Answer | None = None
    """None: Keycloak does not run."""
    other_lock: bool = False
    """Whether the containers' registry.lock is another one than this tree's."""
    suspended: Suspended = ()
    """In the containers' registry."""


def ways(asked: str, found: Sequence[Container], run: local.Local) -> set[str]:
    """Return which ways of starting are checked: what was asked for, else what is in use: Docker only if it was."""
    if asked:
        return {asked}
    if found:
        return {CONTAINERS, LOCAL} if run.process else {CONTAINERS}
    return {LOCAL}


def verdicts(facts: Facts, checked: Collection[str]) -> list[Verdict]:
    """Return the verdict of every check, in order."""
    in_containers, on_machine = CONTAINERS in checked, LOCAL in checked
    running = bool(facts.containers) or facts.local.process is not None
    way = LOCAL if facts.local.process and on_machine else CONTAINERS
    now = facts.machine.now
    found = [
        machine.python(facts.machine, local=on_machine),
        machine.kernel(facts.machine, local=on_machine),
        issuer.clock(facts.answer) or machine.clock(facts.machine),
        (docker.memory(facts.docker) if in_containers else None)
        or machine.memory(facts.machine, checked, running=running),
        machine.disk(facts.disks),
        machine.load(facts.machine),
    ]
    if in_containers:
        found.append(docker.answers(facts.docker))
    if facts.docker.answers and in_containers:
        found += [docker.compose(facts.docker), docker.isolation(facts.docker)]
    elif in_containers:
        found += docker.unchecked(facts.docker)
    if on_machine:
        found.append(local.needs(facts.local))
    found.append(ports.ports(facts.ports, checked, local_process=facts.local.process))
    if facts.docker.answers and in_containers:
        found += _containers(facts)
    if facts.other_lock:
        said = "built from other files than this folder has now"
        found.append(note("images", said, "docker compose up -d --build --wait"))
    found += local.system(facts.local) if on_machine else [local.unused()]
    ready = way == LOCAL or any(one.service == "keycloak" and one.works for one in facts.containers)
    found.append(issuer.certificates(facts.answer, now, way))
    return [*found, issuer.issuer(facts.answer, facts.issuer, way, ready=ready)]


def _containers(facts: Facts) -> list[Verdict]:
    """Return the verdicts on containers.  A suspension explains why one starts in vain, if an operator can end it."""
    realm, services = containers.realm(facts.containers), containers.services(facts.containers, facts.root)
    works = {one.service for one in facts.containers if one.works}
    told = suspended(facts.suspended, running="registry" in works)
    first = {"registry", "keycloak", "attestation"} <= works and not any(one.refused for one in facts.containers)
    return [realm, *told, *services] if first else [realm, *services, *told]
