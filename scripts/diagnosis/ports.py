"""Ports of this machine: free, used by this project, or taken.  Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from scripts.diagnosis.verdict import Verdict, ok, wrong


@dataclass(frozen=True, slots=True)
class Port:
    """A port that this project needs on 127.0.0.1."""

    number: int
    needed_by: dict[str, str]
    """By the way of starting."""
    taken: bool = False
    container: str = ""
    """The container that publishes it."""
    ours: bool = False
    """Whether that is one of our Compose project."""
    process: int = 0
    program: str = ""
    """Who listens, as far as this user may see."""
    folder: str = ""
    """Its working folder."""


def ports(found: Iterable[Port], ways: Collection[str], *, local_process: int | None) -> Verdict:
    """Whether each port is free, or ours.  `local_process`: the process of `make up` or `make demo`, if it runs."""
    free, ours = [], []
    for port in found:
        needed = {way: who for way, who in port.needed_by.items() if way in ways}
        if not needed:
            continue
        if port.ours and "containers" in needed:
            ours.append(port.number)
        elif local_process and "local" in port.needed_by:
            if "local" not in needed:
                return _taken(port, needed, f"`make up` or `make demo`, process {local_process}", "make down")
            ours.append(port.number)
        elif port.taken:
            return _taken(port, needed, *_holder(port))
        else:
            free.append(port.number)
    said = [f"{words} {_ranges(numbers)}" for words, numbers in (("in use by us:", ours), ("free:", free)) if numbers]
    return ok("ports", "; ".join(said))


def _holder(port: Port) -> tuple[str, str]:
    """Return who has a port, and the command that ends it."""
    if port.ours:
        return f"our own container {port.container}", "docker compose down"
    if port.container:
        return f"the container {port.container}", f"docker stop {port.container}"
    if port.program.startswith(("docker-proxy", "com.docker")):
        return "a container of Docker", "docker ps   (names it; docker stop it)"
    if port.process:
        where = f", in {port.folder}" if port.folder not in ("", "/") else ""
        return f"{port.program} (process {port.process}{where})", f"kill {port.process}"
    return "a process of another user", f"end what this names: sudo ss -ltnp 'sport = :{port.number}'"


def _taken(port: Port, needed: dict[str, str], holder: str, repair: str) -> Verdict:
    who = " or ".join(dict.fromkeys(needed.values()))  # `orchestrator` in either way
    return wrong("ports", f"port {port.number} is taken by {holder}; {who} needs it", repair)


def _ranges(numbers: list[int]) -> str:
    """Return `8101-8106, 8443` and the like."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
