"""Doors to knock at, and an issuer whose clock stands still with theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.door import NOW, Door
from tests.support.issuer import Issuer
from zerotrust.registry.model import Registry


@pytest.fixture
def still_issuer(registry: Registry, signing_key: RSAPrivateKey) -> Issuer:
    return Issuer(registry, key=signing_key, clock=lambda: NOW)


@pytest.fixture
def door(tmp_path: Path, still_issuer: Issuer) -> Iterator[Door]:
    """The orchestrator's door."""
    door = Door(tmp_path, still_issuer)
    yield door
    door.close()


@pytest.fixture
def tool_door(tmp_path: Path, still_issuer: Issuer) -> Iterator[Door]:
    """The documents tool's door."""
    door = Door(tmp_path, still_issuer, party="tool/documents", metadata_url="http://tool.test/metadata")
    yield door
    door.close()
