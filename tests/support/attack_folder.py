"""The scene of attacks on what lies in a folder, or is typed there: no service runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.issuer import Issuer
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
