"""The pass-through of figure 3 is attacked on a real Llama Stack server, and each attack but a stranger's succeeds."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.before.llama_stack.attacks import ATTACKS, attack_all
from lab.before.llama_stack.running import PassThrough, pass_through
from start.program import console
from start.system import System
from tests.support.model_server import needs_server

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def there(system: System) -> AsyncIterator[PassThrough]:
    """The pass-through, at the same Keycloak."""
    needs_server()
    async with pass_through(system.keycloak, system.authority.ca_file, system.folder / "before") as running:
        yield running


async def test_there_only_the_stranger_is_refused(there: PassThrough, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        outcomes = await attack_all(there)

    assert [what for what in ATTACKS if not outcomes[what].succeeded] == [next(iter(ATTACKS))]
    assert f"{next(iter(ATTACKS))}\n  did not succeed; 401\n" in told.get()
    assert [line for line in told.get().splitlines() if len(line) > 80] == []
    assert [what for what in ATTACKS if what not in told.get()] == []
