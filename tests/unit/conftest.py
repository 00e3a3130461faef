"""Doors to knock at, an issuer whose clock stands still with theirs, and logs of a ledger."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.door import Door
from tests.support.fixtures import door, still_issuer
from tests.support.issuer import Issuer
from tests.support.ledger import Logs

__all__ = ["door", "still_issuer", "tool_door"]


@pytest.fixture
def issuer(still_issuer: Issuer) -> Issuer:
    """Its clock stands still, as the doors' does."""
    return still_issuer


@pytest.fixture
def tool_door(tmp_path: Path, still_issuer: Issuer) -> Iterator[Door]:
    """The documents tool's door."""
    door = Door(tmp_path, still_issuer, party="tool/documents", metadata_url="http://tool.test/metadata")
    yield door
    door.close()


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Logs]:
    """Logs in this test's folder, which are closed at its end."""
    logs = Logs(tmp_path)
    yield logs
    await logs.close()
