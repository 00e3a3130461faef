"""Who listens on a port of this machine: proc(5)."""

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from scripts.diagnosis.ports import Port

LISTENS = "0A"


def ports(needed: Mapping[int, dict[str, str]], published: Mapping[int, tuple[str, str]], project: str) -> list[Port]:
    """Return each port that is needed.  `published` has the containers with their Compose projects, by port."""
    sockets = _listening()
    owners = _owners({inode for number in needed for inode in sockets.get(number, ())})
    found = []
    for number, who in sorted(needed.items()):
        container, of = published.get(number, ("", ""))
        pid = next((owners[inode] for inode in sockets.get(number, ()) if inode in owners), 0)
        found.append(
            Port(
                number,
                who,
                taken=bool(container) or taken(number),
                container=container,
                ours=of == project,
                process=pid,
                program=_text(pid, "comm"),
                folder=_folder(pid),
            )
        )
    return found


def taken(number: int) -> bool:
    """Return whether somebody listens on this port: tried by listening there for a moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no hindrance
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def _listening() -> dict[int, list[str]]:
    """Return the inodes of listening sockets by port, those on 127.0.0.1 and on all addresses."""
    found: dict[int, list[str]] = {}
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS:
                    found.setdefault(int(fields[1].rpartition(":")[2], 16), []).append(fields[9])
    return found


def _owners(inodes: set[str]) -> dict[str, int]:
    """Return the processes that have these sockets open, as far as this user may see it."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, int] = {}
    for process in Path("/proc").iterdir() if links else ():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in os.scandir(process / "fd"):
                with suppress(OSError):
                    if (link := str(Path(descriptor.path).readlink())) in links:
                        found[links[link]] = int(process.name)
    return found


def _text(pid: int, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text().strip() if pid else ""
    return ""


def _folder(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/cwd").readlink()) if pid else ""
    return ""
