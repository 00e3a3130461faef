"""Copies of what the authorities decide by: the policies, and where each party runs.

The registry of `make notebooks` reads them in the run's folder.  A notebook changes the copies, and no file of the
project; each start makes them anew.
"""

import re
from dataclasses import replace
from pathlib import Path

from authorities.attestation.local.launch import Launch
from demo.revocation import PLANTED
from local.launches import registered
from local.system import DEPLOYMENT, ROOT, System
from registration.names import POLICIES, SCHEMA

POLICY, PLACES = "policies.cedar", "local.yaml"
ORIGINALS = {POLICY: ROOT / POLICIES, "schema.cedarschema": ROOT / SCHEMA, PLACES: DEPLOYMENT}
"""Each copy, by its name, with the file that it is a copy of."""
_POLICY = re.compile(r'^@id\("([^"]+)"\)$.*?^};$', re.MULTILINE | re.DOTALL)


def folder_of(system: System) -> Path:
    """Return the folder of the copies."""
    return system.folder / "authorities"


def changed_back(folder: Path) -> list[str]:
    """Write each copy that is not as its original; return the names of these."""
    folder.mkdir(mode=0o700, exist_ok=True)
    texts = {folder / name: original.read_text() for name, original in ORIGINALS.items()}
    differing = [copy for copy, text in texts.items() if not copy.exists() or copy.read_text() != text]
    for copy in differing:
        copy.write_text(texts[copy])
    return [copy.name for copy in differing]


def reading(launch: Launch, folder: Path) -> Launch:
    """Return the registry's launch, with the copies instead of the originals.  Pure."""
    return replace(launch, env={**launch.env, "ZT_POLICIES": str(folder), "ZT_DEPLOYMENT": str(folder / PLACES)})


def reading_copies(system: System) -> dict[str, Launch]:
    """Return the launches of all parties, with a registry that reads the copies.

    A file that a notebook which did not come to its end has left in a party's code is removed before.
    """
    PLANTED.unlink(missing_ok=True)
    changed_back(folder := folder_of(system))
    launches, registry = registered(system), system.place(system.registry.authorities.registry)
    return launches | {registry: reading(launches[registry], folder)}


def policy(system: System, name: str) -> str:
    """Return the text of a policy of the copy.  Raises `KeyError`."""
    return policies_in((folder_of(system) / POLICY).read_text())[name]


def policies_in(text: str) -> dict[str, str]:
    """Return the text of each policy by its `@id`.  Pure."""
    return {found[1]: found[0] for found in _POLICY.finditer(text)}
