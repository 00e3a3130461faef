"""The whole system in process, and the tokens that a test needs at one of its doors."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.console import Consoled, Realm, consoled
from tests.support.fixtures import Token, stored, system, writing
from tests.support.issuer import Issuer
from tests.support.registry_authority import Authority, authority_in
from zerotrust.registry.model import Registry
from zt.output import console

__all__ = ["asking", "authority", "here", "reading", "stored", "system", "writing"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """`zt` folds no line, however wide the terminal of these tests is."""
    monkeypatch.setattr(console, "width", 160)


@pytest.fixture
async def authority(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Authority]:
    """The registry, alive."""
    async with authority_in(tmp_path, issuer) as authority:
        yield authority


@pytest.fixture
async def here(tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey) -> AsyncIterator[Consoled]:
    """The console, alive, at a realm of its own."""
    async with consoled(tmp_path, Realm(registry, key=signing_key)) as alive:
        yield alive


@pytest.fixture
def reading(issuer: Issuer) -> Token:
    """A token that the reader holds for the documents tool: T2 of the design."""
    good = {"aud": issuer.registry.id("tool/documents"), "scope": "tool.read"}
    return lambda **changed: issuer.delegated("orchestrator", "agent/reader", **(good | changed))


@pytest.fixture
def asking(issuer: Issuer) -> Token:
    """A token that the orchestrator holds for an agent: T1 of the design."""

    def token(agent: str = "agent/reader", **changed: Any) -> str:
        acting = "tool.read" if agent == "agent/reader" else "tool.write"
        good = {"aud": issuer.registry.id(agent), "scope": f"agent.invoke {acting} inference.run llama.chat"}
        return issuer.delegated("orchestrator", **(good | changed))

    return token
