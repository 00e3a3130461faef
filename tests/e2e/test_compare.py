"""The same attacks on the system of figure 1, where each succeeds, and on the real one, where none does."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.before.one_token.running import one_token
from lab.before.one_token.use import OneToken
from lab.before.story import GAPS, tell
from local.program import console
from local.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def there(system: System) -> AsyncIterator[OneToken]:
    """The system of figure 1, at the same Keycloak."""
    async with one_token(system.keycloak, system.folder / "one-token") as running:
        yield running


async def test_there_each_attack_succeeds(there: OneToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        found = await tell(there)

    assert [run.__name__ for run, seen in found.items() if not seen.succeeded] == []
    assert [line for line in told.get().splitlines() if len(line) > 80] == []
    assert [gap.called for gap in GAPS if gap.called not in told.get()] == []
