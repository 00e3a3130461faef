"""What logs say: the last words of a service, and what attestation refused, with what helps.  Pure.

The reasons are those of `authorities/attestation`; a test finds each pattern in its source.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

REBUILD = "docker compose up -d --build --wait"
OF_COMPOSE = "git stash push docker-compose.yml && docker compose up -d --wait   (no override file)"
REMEDIES = {
    "cannot be seen from here": "use Docker without Enhanced Container Isolation; keep `pid: host`",
    "cannot be read: attestation needs": "docs/containers.md, 'What attestation needs': no userns-remap, one AppArmor "
    "profile for all, and with SELinux `security_opt: [label=disable]` for attestation alone",
    "only overlay is known here": 'set "storage-driver": "overlay2" in /etc/docker/daemon.json; restart Docker',
    "no seccomp filter limits": 'remove "seccomp-profile" from /etc/docker/daemon.json; restart Docker',
    "which is not the image's": REBUILD,
    "others may have read it": "docker compose down -v && docker compose up --wait   (all keys are made again)",
    "its environment has": 'remove "proxies" from ~/.docker/config.json, or what else adds variables; '
    "docker compose up -d --force-recreate --wait",
    "code that is not approved": f"git stash of those files, or make register, which approves them; then {REBUILD}",
    "not what was built": REBUILD,
    "is not that of attestation": f"docker compose up -d --force-recreate --wait, or {OF_COMPOSE}",
    "runs already, as process": "docker ps   (names the second container; docker stop it)",
    "fs.inotify.max_user_watches": "sudo sysctl fs.inotify.max_user_watches=524288",
    "fs.inotify.max_user_instances": "sudo sysctl fs.inotify.max_user_instances=512",
    "something is mounted at": OF_COMPOSE,
    "is writable": OF_COMPOSE,
    "may be there": OF_COMPOSE,
    "is mounted without": OF_COMPOSE,
    "is not what Docker keeps": OF_COMPOSE,
    "its /etc/hosts leads": OF_COMPOSE,
    "it runs as root": OF_COMPOSE,
    "it is not the main process of a container": "nothing: a process beside a container's main one gets no identity",
    "it has capabilities": OF_COMPOSE,
    "it can gain privileges": OF_COMPOSE,
    "it was started as": OF_COMPOSE,
    "fs.suid_dumpable": "sudo sysctl fs.suid_dumpable=0",
}
"""What helps, by a part of the reason."""
OF_JOURNAL = {
    "journal.jsonl: record": "restore that journal from a copy; without one: docs/failures.md, 'A journal whose own "
    "chain is broken'   (a restart does not help)",
}
"""What helps, by a part of what a party says whose journal is not what it wrote."""
OF_MACHINE = {
    "Too many open files": "docker compose restart attestation   (lsof shows what opens so many)",
    "Cannot allocate memory": "free memory   (docker stats shows what uses it)",
    "share namespaces [pid] with the host": "switch Enhanced Container Isolation off in Docker Desktop's settings",
    "no space left on device": "docker system prune   (or make room where Docker keeps its data)",
}
"""What helps, by a part of what Docker or the machine itself says."""


class Refusal(NamedTuple):
    """One line of attestation's log."""

    why: str
    pid: int


def refusals(log: Iterable[str]) -> list[Refusal]:
    """Return what was refused, the latest last, from JSON lines between others."""
    found = []
    for line in log:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "refused":
            pid = event.get("pid")
            found.append(Refusal(str(event.get("why", "")), pid if isinstance(pid, int) else 0))
    return found


def remedy(why: str) -> str:
    """Return what helps against this reason, or an empty text."""
    return next((help_ for part, help_ in {**REMEDIES, **OF_JOURNAL, **OF_MACHINE}.items() if part in why), "")


def last_words(log: Sequence[str]) -> str:
    """Return the line of a log that most likely says why: the last one that names an error, else the last one."""
    lines = [line.strip() for line in log if line.strip()]
    errors = [line for line in lines if re.search(r"\b(ERROR|FATAL|CRITICAL|Error|Exception)\b", line)]
    chosen = (errors or lines or [""])[-1]
    try:
        fields = json.loads(chosen)
    except ValueError:
        return chosen
    return str(fields.get("why") or fields.get("event") or chosen) if isinstance(fields, dict) else chosen
