"""Screen c in a real browser: an operator pulls the plug of a party, and sees how long each service still serves it."""

import re

import pytest
from playwright.async_api import Browser, expect

from start.system import System
from tests.support.chromium import BROWSER, person
from tests.support.console import AT

pytestmark = [pytest.mark.e2e, *BROWSER]


async def test_an_operator_pulls_the_plug_of_a_party(browser: Browser, real: System) -> None:
    async with person(browser, real, "olga") as olga:
        page, reader = olga.page, olga.page.get_by_role("region", name="agent/reader")
        await olga.sign_in_for_the_registry()
        await page.get_by_role("button", name="Have it call").click()
        documents = page.get_by_role("region", name="tool/documents")
        await expect(page.get_by_text(re.compile(r"calling, \d+ s left"))).to_be_visible()
        await expect(documents.get_by_text("granted")).to_be_visible()
        await page.get_by_label("Because").fill("It reads too much.")
        await page.get_by_role("button", name="Suspend agent/reader").click()
        try:
            await expect(reader.get_by_text("It reads too much.")).to_be_visible()
            await expect(page.locator("#changes")).to_contain_text("It reads too much.")
            await expect(documents).to_contain_text(re.compile("first refused agent/reader [0-9.]+ m?s after"))
            await expect(reader).to_contain_text(re.compile("its last call was admitted by .*, .* the order"))
            await expect(page.get_by_role("region", name="orchestrator").get_by_text("granted")).to_be_visible()
        finally:
            await page.get_by_label("Because").fill("It reads less.")
            await page.get_by_role("button", name="Reinstate agent/reader").click()
        await expect(page.get_by_role("button", name="Suspend agent/reader")).to_be_visible()
        await expect(page.get_by_text("until it was reinstated at").first).to_be_visible()
        assert olga.complaints == []
        other = await page.context.new_page()
        await other.goto(AT)
        await other.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("No longer live")).to_be_visible()
