"""Screen b in a real browser: a person has the lab's thief really use a token, and reads what refused it."""

import re

import pytest
from playwright.async_api import expect

from console.thief import PAUSE
from console.tokens import WAYS
from tests.support.chromium import BROWSER, Person

pytestmark = [pytest.mark.e2e, *BROWSER]


async def test_a_thiefs_token_is_refused_in_each_way(alice: Person) -> None:
    page, task = alice.page, await alice.start()
    await expect(page.locator("#answer")).to_be_visible()
    await expect(page.locator("#hops > li").nth(20)).to_be_visible()  # the last records come after the answer
    await page.goto(f"{task}/tokens")
    assert await page.locator("thead b").all_inner_texts() == ["T0", "T1", "T2"]

    for way in WAYS.values():
        await page.get_by_role("button", name=f"Really try it {way['label']}").click()
        await expect(page.get_by_role("heading", name=re.compile(f"Tried: T[12], {way['label']}"))).to_be_focused()
        used = page.locator("#used")
        await expect(used.locator(".refused")).to_be_visible()
        await expect(used).to_contain_text(f"Row {way['row']} of the catalogue")
        await page.wait_for_timeout(1000 * PAUSE)
    assert alice.complaints == []
