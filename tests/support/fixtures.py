"""Fixtures of several folders: doors to knock at, and the whole system in process."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.door import NOW, Door
from tests.support.issuer import Issuer
from tests.support.system import System, running
from zerotrust.registry.model import Registry

Token = Callable[..., str]


@pytest.fixture
async def system(tmp_path: Path, issuer: Issuer) -> AsyncIterator[System]:
    """All five services, alive."""
    async with running(tmp_path, issuer=issuer) as system:
        yield system


@pytest.fixture
def writing(issuer: Issuer) -> Token:
    """A token that the writer holds for the documents tool: T2w of the design."""
    good = {"aud": issuer.registry.id("tool/documents"), "scope": "tool.write"}
    return lambda **changed: issuer.delegated("orchestrator", "agent/writer", **(good | changed))


@pytest.fixture
def stored(system: System) -> Callable[[], dict[str, dict[str, str]]]:
    """What the documents tool has stored, by id, looked up behind its back."""

    return system.documents


@pytest.fixture
def still_issuer(registry: Registry, signing_key: RSAPrivateKey) -> Issuer:
    return Issuer(registry, key=signing_key, clock=lambda: NOW)


@pytest.fixture
def door(tmp_path: Path, still_issuer: Issuer) -> Iterator[Door]:
    """The orchestrator's door."""
    door = Door(tmp_path, still_issuer)
    yield door
    door.close()
