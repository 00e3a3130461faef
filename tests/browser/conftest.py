"""The real system, and one Chromium for all of these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from start.system import System
from tests.support.chromium import Person, chromium, person


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(real: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Chromium, which trusts this run's authority."""
    async with chromium(tmp_path_factory.mktemp("home"), real.ca_file) as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alice(browser: Browser, real: System) -> AsyncIterator[Person]:
    """alice, of engineering, signed in."""
    async with person(browser, real, "alice", stays=True, reduced_motion="reduce") as signed_in:
        yield signed_in
