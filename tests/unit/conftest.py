"""Doors to knock at, and an issuer whose clock stands still with theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.door import Door
from tests.support.fixtures import door, still_issuer
from tests.support.issuer import Issuer

__all__ = ["door", "still_issuer", "tool_door"]


@pytest.fixture
def tool_door(tmp_path: Path, still_issuer: Issuer) -> Iterator[Door]:
    """The documents tool's door."""
    door = Door(tmp_path, still_issuer, party="tool/documents", metadata_url="http://tool.test/metadata")
    yield door
    door.close()
