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
from zerotrust.registry.files import policy_files

PLACES = "local.yaml"
_RULES = {file.name: file for file in policy_files(ROOT / POLICIES)}
ORIGINALS = {**_RULES, "schema.cedarschema": ROOT / SCHEMA, PLACES: DEPLOYMENT}
"""Each copy, by its name, with the file that it is a copy of."""
_POLICY = re.compile(r'^@id\("([^"]+)"\)$.*?^};$', re.MULTILINE | re.DOTALL)


def folder_of(system: System) -> Path:
    """Return the folder of the copies."""
    return system.folder / "authorities"


def changed_back(folder: Path) -> list[str]:
    """Write each copy that is not as its original, and delete policies without an original; return their names."""
    folder.mkdir(mode=0o700, exist_ok=True)
    strangers = [file for file in folder.glob("*.cedar") if file.name not in ORIGINALS]
    for file in strangers:
        file.unlink()
    texts = {folder / name: original.read_text() for name, original in ORIGINALS.items()}
    differing = [copy for copy, text in texts.items() if not copy.exists() or copy.read_text() != text]
    for copy in differing:
        copy.write_text(texts[copy])
    return [copy.name for copy in (*strangers, *differing)]


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
    """Return the text of a policy of the copies.  Raises `KeyError`."""
    return policies_in("\n".join((folder_of(system) / file).read_text() for file in _RULES))[name]


def policies_in(text: str) -> dict[str, str]:
    """Return the text of each policy by its `@id`.  Pure."""
    return {found[1]: found[0] for found in _POLICY.finditer(text)}
