"""The same attacks on the system of figure 1, where each succeeds, and on the real one, where none does."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.before.comparison import compare_attacks
from lab.before.expected import EXPECTED
from lab.before.one_token.realm import realm
from lab.before.one_token.running import one_token
from lab.before.one_token.use import OneToken
from lab.before.real import real
from start.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def there(system: System) -> AsyncIterator[OneToken]:
    """The system of figure 1, at the same Keycloak."""
    async with realm(system.keycloak) as users, one_token(users, system.folder / "one-token") as running:
        yield running


async def test_each_attack_succeeds_there_and_is_refused_here_by_the_check_that_is_named(
    there: OneToken, system: System
) -> None:
    async with real(system) as here:
        rows = await compare_attacks(there, here)

    assert [row.attack.what for row in rows if not row.before.succeeded] == []
    assert [row.attack.what for row in rows if row.after.succeeded] == []
    answered = {row.attack.what: row.after.happened for row in rows}
    assert answered == {one.what: one.answered for one in EXPECTED}
    assert [row.wrong for row in rows if row.wrong] == []
