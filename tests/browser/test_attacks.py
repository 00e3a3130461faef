"""What is tried on a person at a browser: markup in data, pages elsewhere, planted sessions, other people's streams."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from console.comparison import FILE
from console.sessions import SESSION
from start.earlier_runs import data_folder
from start.system import System
from tests.support.chromium import BROWSER, Person, person
from tests.support.console import AT, CONSOLE

pytestmark = [pytest.mark.e2e, *BROWSER]

MARKUP = "</p><img src=x onerror=\"alert('1')\"><script>alert('2')</script>"
ELSEWHERE, OTHER_PORT = "https://elsewhere.example", "https://console.localhost:8443"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def task(alice: Person) -> AsyncIterator[str]:
    """A task of alice's, for which she asks with markup."""
    yield await alice.start(f"Summarise the incident reports. {MARKUP}")


async def visit(page: Page, origin: str, content: str) -> None:
    """Open a page of an attacker's at that origin."""

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/html", body=f"<!doctype html><title>A page</title>{content}")

    await page.route(f"{origin}/page", answer)
    await page.goto(f"{origin}/page")


def hostile(value: object) -> object:
    """The same with markup in each text that a party writes."""
    if isinstance(value, dict):
        return {name: one if name in ("kind", "reason") else hostile(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return value + MARKUP if isinstance(value, str) else value


async def test_markup_in_a_task_and_in_records_is_text(alice: Person, task: str) -> None:
    page = alice.page
    await page.goto(task)
    told = await page.evaluate("async at => (await fetch(at)).text()", f"{task}/hops")
    spoilt = [
        f"data: {json.dumps(hostile(json.loads(line[6:])))}" if line.startswith("data: {") else line
        for line in told.splitlines()
    ]

    async def spoil(route: Route) -> None:
        await route.fulfill(content_type="text/event-stream", body="\n".join([*spoilt, "", ""]))

    await page.route("**/hops", spoil)
    await page.goto(task)

    await expect(page.locator("#hops > li", has_text=MARKUP).first).to_be_visible()
    assert await page.locator("img, main script:not([src])").count() == 0
    await page.unroute("**/hops")
    await page.goto(AT)
    assert alice.complaints == []


async def test_markup_in_the_comparison_is_text(alice: Person, real: System) -> None:
    file = data_folder(real.folder, CONSOLE) / FILE
    seen = {"succeeded": True, "happened": MARKUP}
    attack = {"what": MARKUP, "check": MARKUP, "figure_1": seen, "figure_3": seen, "here": seen}
    before = file.read_bytes() if file.exists() else None
    file.write_text(json.dumps({"at": "2026-11-30T12:00:00Z", "attacks": [attack]}))
    try:
        await alice.page.goto(f"{AT}/before")
        await expect(alice.page.get_by_text(MARKUP)).to_have_count(5)
        assert alice.complaints == []
    finally:
        file.unlink() if before is None else file.write_bytes(before)


@pytest.mark.parametrize("origin", [ELSEWHERE, OTHER_PORT])
async def test_no_other_page_frames_it(alice: Person, origin: str) -> None:
    page = await alice.page.context.new_page()
    await visit(page, origin, f'<iframe src="{AT}/"></iframe>')

    [framed] = page.main_frame.child_frames
    await framed.wait_for_load_state()
    assert framed.url.startswith("chrome-error:")
    await page.close()


@pytest.mark.parametrize("origin", [ELSEWHERE, OTHER_PORT])
async def test_no_other_page_sends_its_forms(alice: Person, origin: str) -> None:
    """Also at another port of the same host, which is another origin and the same site: it sends the cookie along."""
    await alice.page.goto(AT)
    token = await alice.page.locator("[name=form_token]").first.get_attribute("value")
    before = await alice.page.locator("table a").count()
    page = await alice.page.context.new_page()
    fields = f'<input name="form_token" value="{token}"><input name="request" value="Do it"><button>Go</button>'
    await visit(page, origin, f'<form method="post" action="{AT}/tasks">{fields}</form>')
    async with page.expect_navigation():
        await page.get_by_role("button", name="Go").click()

    assert not page.url.startswith(f"{AT}/tasks/")
    await page.close()
    await alice.page.goto(AT)
    assert await alice.page.locator("table a").count() == before


async def test_a_session_that_somebody_planted_is_nobodys(browser: Browser, real: System) -> None:
    planted = "A" * 43
    cookie = {"name": SESSION, "value": planted, "domain": "console.localhost", "path": "/", "secure": True}
    state: Any = {"cookies": [cookie | {"httpOnly": True, "sameSite": "Strict", "expires": -1}], "origins": []}
    async with person(browser, real, "alice", storage_state=state) as alice:
        [own] = [one["value"] for one in await alice.page.context.cookies(AT) if one["name"] == SESSION]
        assert own != planted
        async with await browser.new_context(storage_state=state) as thief:
            page = await thief.new_page()
            await page.goto(AT)
            await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_nobody_sees_the_stream_of_another_one(browser: Browser, real: System, task: str) -> None:
    async with person(browser, real, "eve") as eve:
        assert await eve.page.evaluate("async at => (await fetch(at)).status", f"{task}/hops") == 404


async def test_a_stream_ends_with_the_sign_out_in_another_window(browser: Browser, real: System) -> None:
    async with person(browser, real, "alice") as alice:
        await alice.start()
        other = await alice.page.context.new_page()
        await other.goto(AT)
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_role("link", name="Sign in")).to_be_visible()

        # Whatever the page asks for from now on, it is nobody's.
        stream = "async at => (await fetch(at)).status"
        assert await alice.page.evaluate(stream, f"{alice.page.url}/hops") == 401
