"""Screen c in a real browser: an operator suspends a party and reinstates it."""

import pytest
from playwright.async_api import Browser, expect

from start.system import System
from tests.support.chromium import BROWSER, person

pytestmark = [pytest.mark.e2e, *BROWSER]


async def test_an_operator_pulls_the_plug_of_a_party(browser: Browser, real: System) -> None:
    async with person(browser, real, "olga") as olga:
        await olga.sign_in_for_the_registry()
        reader = olga.page.get_by_role("region", name="agent/reader")
        await olga.page.get_by_label("Because").fill("It reads too much.")
        await reader.get_by_role("button", name="Suspend").click()
        await expect(reader.get_by_text("It reads too much.")).to_be_visible()

        await reader.get_by_role("button", name="Reinstate").click()
        await expect(reader.get_by_role("button", name="Suspend")).to_be_visible()
        assert olga.complaints == []
