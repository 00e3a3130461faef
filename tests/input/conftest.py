"""The whole system in process, for somebody who sends what they like."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.attack import Target, Watched
from tests.support.issuer import Issuer
from tests.support.system import running


@pytest.fixture
async def target(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Target]:
    """All five services, alive."""
    async with running(tmp_path, issuer=issuer, kind=Watched) as system:
        yield Target(system, issuer)
