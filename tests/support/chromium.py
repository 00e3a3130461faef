"""A real browser: Debian's Chromium on the running system, driven by Playwright.  It trusts this run's authority alone.

Where there is no Chromium, the tests are skipped, and with BROWSER_TESTS=required they fail.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from start.browser import CHROMIUM, profile
from start.system import System
from tests.support.console import AT

PROGRAM = next((found for name in CHROMIUM if (found := shutil.which(name))), "")
MISSING = not (PROGRAM and shutil.which("certutil")) and os.environ.get("BROWSER_TESTS") != "required"
BROWSER = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(MISSING, reason="a browser is needed: apt-get install chromium libnss3-tools"),
]
"""The marks of a file of such tests, beside `e2e`."""
PATIENCE = 30_000
"""Milliseconds that a test waits for something to appear, on a busy machine."""


@asynccontextmanager
async def chromium(folder: Path, authority: Path) -> AsyncIterator[Browser]:
    """Start Chromium with a home of its own, in which `authority` is trusted."""
    _, environment = profile(folder, authority, AT)
    expect.set_options(timeout=PATIENCE)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=PROGRAM, args=sandbox, env={**environment})


class Person:
    """A person at a browser of their own."""

    def __init__(self, system: System, user: str, page: Page) -> None:
        self.page, self.user, self._password = page, user, system.keycloak.passwords[user]
        self.complaints = list[str]()
        """What the browser has complained about: errors of scripts, and whatever the pages' policy has blocked."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def _note(self, message: ConsoleMessage) -> None:
        text, url = message.text, message.location.get("url", "")
        refused = text.startswith("Failed to load resource") and url == self.page.url  # a page that says no
        # A connection ends with the console's certificate, even under a stream.  The browser then asks again.
        ended = text.endswith("net::ERR_INCOMPLETE_CHUNKED_ENCODING") and url.endswith("/hops")
        if message.type in ("error", "warning") and not (refused or ended):
            self.complaints.append(f"{text} ({url})")

    async def sign_in(self) -> None:
        """Sign in at Keycloak's own page, from the console's first one."""
        await self.page.goto(AT)
        await self.page.get_by_role("link", name="Sign in").click()
        await self._fill_in()
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    async def sign_in_for_the_registry(self) -> None:
        """As an operator: sign in once more, and confirm at Keycloak what that is for."""
        await self.page.goto(f"{AT}/parties")
        await self.page.get_by_role("link", name="Sign in for the registry").click()
        await self._fill_in()
        await self.page.get_by_role("button", name="Yes").click()
        await expect(self.page.get_by_text("You are signed in for the registry")).to_be_visible()

    async def _fill_in(self) -> None:
        await self.page.get_by_label("Username").fill(self.user)
        await self.page.get_by_label("Password", exact=True).fill(self._password)
        await self.page.get_by_role("button", name="Sign In").click()

    async def sign_out(self) -> None:
        """Sign out, if that has not been done: a user has few sessions."""
        await self.page.goto(AT)
        if await (button := self.page.get_by_role("button", name="Sign out")).count():
            await button.click()
        await expect(self.page.get_by_role("link", name="Sign in")).to_be_visible()

    async def start(self, request: str = "") -> str:
        """Start a task, by default the one that the page proposes, and return the address of its page."""
        await self.page.goto(AT)
        if request:
            await self.page.locator("#request").fill(request)
        await self.page.get_by_role("button", name="Start the task" if request else "Start the poisoned task").click()
        await expect(self.page.locator("#hops > li").first).to_be_visible()
        return self.page.url


@asynccontextmanager
async def person(
    browser: Browser, system: System, user: str, *, stays: bool = False, **how: Any
) -> AsyncIterator[Person]:
    """Have a browser for a block in which a user is signed in; `how`: as Playwright's `new_context`.

    `stays`: without a sign-out at its end: at the end of all tests, nobody renews the console's certificate any more.
    """
    context: BrowserContext = await browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | how))
    context.set_default_timeout(PATIENCE)
    try:
        someone = Person(system, user, await context.new_page())
        await someone.sign_in()
        yield someone
        if not stays:
            await someone.sign_out()
    finally:
        await context.close()
