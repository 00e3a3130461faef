"""Screen a in a real browser: a person signs in at Keycloak's page, runs a task, sees its hops, and signs out."""

import pytest
from playwright.async_api import Browser, expect

from start.system import System
from tests.support.chromium import BROWSER, person
from tests.support.console import AT

pytestmark = [pytest.mark.e2e, *BROWSER]


async def test_a_person_runs_a_task_sees_its_hops_and_signs_out(browser: Browser, real: System) -> None:
    async with person(browser, real, "alice") as alice:
        task = await alice.start()
        await expect(alice.page.locator("#answer")).to_be_visible()

        page = alice.page
        await expect(page.locator("#hops > li").nth(20)).to_be_visible()
        await expect(page.locator("#hops > li.no").first).to_be_visible()
        cookies = {one["name"]: one for one in await page.context.cookies(AT)}
        assert cookies["__Host-session"]["sameSite"] == "Strict"
        assert "__Host-session" not in await page.evaluate("document.cookie")

        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        await page.goto(task)
        await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        assert alice.complaints == []
