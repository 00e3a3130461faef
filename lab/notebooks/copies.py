"""A copy of the file that says where each party runs; the registry of `make notebooks` reads the copy.

A notebook changes the copy, and no file of the project; each start makes it anew.
"""

from dataclasses import replace
from pathlib import Path

from authorities.attestation.local.launch import Launch
from demo.revocation import PLANTED
from start.launches import party_launches
from start.system import DEPLOYMENT, System

PLACES = "local.yaml"


def folder_of(system: System) -> Path:
    """Return the folder of the copy."""
    return system.folder / "authorities"


def restore(folder: Path) -> bool:
    """Write the copy if it is not as its original; return whether it was not."""
    folder.mkdir(mode=0o700, exist_ok=True)
    copy, text = folder / PLACES, DEPLOYMENT.read_text()
    if copy.exists() and copy.read_text() == text:
        return False
    copy.write_text(text)
    return True


def launches_with_copy(system: System) -> dict[str, Launch]:
    """Return the launches of all parties, with a registry that reads the copy.

    A file that a notebook which did not come to its end has left in a party's code is removed before.
    """
    PLANTED.unlink(missing_ok=True)
    restore(folder := folder_of(system))
    launches, registry = party_launches(system), system.place(system.registry.authorities.registry)
    original = launches[registry]
    return launches | {registry: replace(original, env={**original.env, "ZT_DEPLOYMENT": str(folder / PLACES)})}
