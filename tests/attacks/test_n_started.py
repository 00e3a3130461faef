"""N. Start: code runs that is not what was signed."""

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts import run
from tests.support.attack import Attempt, Tries, attack
from tests.support.issuer import Issuer
from tests.support.planted import MARK, copy_of_the_project, plant, said_by
from zerotrust.service import Service


@dataclass
class Folder:
    """A folder of the attacker's choice; nobody is called from here, and nothing is written down."""

    place: Path
    lured: list[str] = field(default_factory=list)
    leaks: bool = False

    def check_journals(self) -> None:
        """There are none."""


@asynccontextmanager
async def folder(place: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Folder]:
    """A scene without any service."""
    yield Folder(place)


@attack(135, folder)
async def test_a_module_planted_in_the_projects_folder(target: Folder) -> Tries:
    """It is there for each package that is imported, and for one that a library would take if it were there."""
    project = copy_of_the_project(target.place / "project")
    plant(project)
    for command in (["scripts/run", "demo", "--help"], [".venv/bin/zt", "--help"]):
        said = said_by([str(project / command[0]), *command[1:]], project)
        yield Attempt("not run", MARK in said or "Usage" not in said)
    assert MARK in said_by([str(project / ".venv/bin/python"), "-m", "demo", "--help"], project)

    # Nor where a library asks for what nobody has installed.
    (project / "brotli").mkdir()
    root, run.ROOT = run.ROOT, project
    sys.meta_path.append(run.Project)
    try:
        yield Attempt("not found", importlib.util.find_spec("brotli") is not None)
    finally:
        sys.meta_path.remove(run.Project)
        run.ROOT = root
