"""Checks before a server starts here: its port is free, and its key is private."""

import socket
from pathlib import Path

from start.errors import KeycloakError


def check_port(port: int, needed_by: str = "Keycloak") -> None:
    """Raise `KeycloakError` if another process listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no hindrance
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise KeycloakError(
                f"Port {port} is in use and {needed_by} needs it: stop what listens there (`ss -ltnp` names it; "
                "where it is another clone of this project, `make down` in that folder)."
            ) from error


def check_private(key: Path) -> None:
    """Raise `KeycloakError` when a private key is missing, or others may read it."""
    try:
        mode = key.stat().st_mode & 0o777
    except OSError as error:
        raise KeycloakError(f"{key}: Keycloak's key cannot be read ({error.strerror}).") from error
    if mode & 0o077:
        raise KeycloakError(f"{key}: others may read Keycloak's key (mode {mode:o}): delete it, and start again.")
