"""Every screen for everybody: `axe` finds nothing, in light and dark, wide and narrow; and the pictures of the docs."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from console.comparison import FILE
from lab.before.attacks import Outcome
from lab.before.comparison import Row, store
from lab.before.expected import EXPECTED
from start.earlier_runs import data_folder
from start.program import FOLDER
from start.system import ROOT, System
from tests.support.axe import violations
from tests.support.chromium import BROWSER, Person, person
from tests.support.console import AT, CONSOLE
from tests.support.pictures import picture

pytestmark = [pytest.mark.e2e, *BROWSER]

PICTURES = {name: "{task}" + path for name, path in (("task", ""), ("tokens", "/tokens"), ("answer", "/answer"))}
PICTURES |= {name: f"{AT}/{name}" for name in ("parties", "before")}
"""The address of each screen of which the docs have a picture; operators alone see the parties."""
MOST_BYTES = 150_000
"""Of a picture: a page of the docs has several."""
TOO_WIDE = """document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 200))"""
"""What makes a page scroll sideways."""
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module", autouse=True)
def compared(real: System) -> None:
    """The last `make before` of this machine; where there is none, one that says that it is no measurement."""
    folder = data_folder(real.folder, CONSOLE)
    if (own := data_folder(FOLDER, CONSOLE) / FILE).exists():
        (folder / FILE).write_bytes(own.read_bytes())
    else:
        got, refused = (Outcome(one, "not measured: an example", 0) for one in (True, False))
        store([Row(one, got, refused) for one in EXPECTED], {}, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def task(alice: Person) -> str:
    """The address of a task of alice's that has ended."""
    address = await alice.start()
    await expect(alice.page.locator("#answer")).to_be_visible()
    return address


async def screens(page: Page) -> dict[str, str]:
    """The address of each screen in the header, by its name."""
    await page.goto(AT)
    return {
        await one.inner_text(): AT + (await one.get_attribute("href") or "")
        for one in await page.locator("nav a").all()
    }


async def open_page(page: Page, address: str) -> None:
    """Open a page, and wait for what its script draws."""
    await page.goto(address)
    if await page.locator("#hops").count():
        await expect(page.locator("#hops > li").nth(20)).to_be_visible()
    if await page.locator("#changes").count():
        await expect(page.locator("#changes td").first).to_be_visible()
    if await page.locator("#verdict").count():
        await expect(page.locator("#verdict")).not_to_have_text("Verifying")


@pytest.mark.parametrize("user", ["alice", "olga", "eve"])
@pytest.mark.parametrize(("window", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
async def test_axe_finds_nothing(
    browser: Browser, real: System, task: str, user: str, window: dict[str, int], scheme: str
) -> None:
    # What is still fading in has too little contrast.
    how: dict[str, Any] = {"viewport": window, "color_scheme": scheme, "reduced_motion": "reduce"}
    async with person(browser, real, user, **how) as someone:
        page = someone.page
        for address in [
            *(await screens(page)).values(),
            *([] if user == "eve" else [task, f"{task}/tokens", f"{task}/answer"]),
        ]:
            await open_page(page, address)
            assert (address, await violations(page)) == (address, [])
            assert (address, await page.evaluate(TOO_WIDE)) == (address, [])
            for kind in ("granted", "refused", "revoked", "tampered"):
                for sign in await page.locator(f".{kind}:visible").all():
                    told = "one => [getComputedStyle(one, '::before').content, one.innerText]"
                    before, text = await sign.evaluate(told)
                    assert before not in ("none", '""'), f"{address}: {kind} is told by its colour alone: {text}"
        assert someone.complaints == []


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_can_be_made(
    browser: Browser, real: System, alice: Person, task: str, name: str, pytestconfig: pytest.Config
) -> None:
    async with AsyncExitStack() as stack:
        someone = alice
        if name == "parties":
            someone = await stack.enter_async_context(person(browser, real, "olga"))
            await someone.sign_in_for_the_registry()
        await open_page(someone.page, PICTURES[name].format(task=task))
        assert await violations(someone.page) == []
        if name == "task":
            await someone.page.get_by_role("heading", name="Hop by hop", exact=True).evaluate(
                "one => one.scrollIntoView()"
            )
        made = await picture(someone.page)

    assert len(made) < MOST_BYTES
    if pytestconfig.getoption("--pictures"):
        (ROOT / "docs" / "pictures" / f"console-{name}.png").write_bytes(made)


@pytest.mark.parametrize("user", ["", "alice"])
async def test_axe_finds_nothing_on_what_is_no_screen(browser: Browser, alice: Person, user: str) -> None:
    page = alice.page if user else await browser.new_page()
    await page.goto(AT)
    assert await violations(page) == []
    await page.goto(f"{AT}/tasks/{'0' * 32}")
    assert await violations(page) == []
    if not user:
        await page.context.close()


async def focus_by_keyboard(page: Page, name: str) -> None:
    """Press Tab until the control with this name has the focus, and shows that it does."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus-visible")
        if await focused.count() and name in (await focused.inner_text() or await focused.get_attribute("id") or ""):
            assert await focused.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
            return
    pytest.fail(f"{name} is not reached by Tab")


async def test_everything_of_a_task_works_with_the_keyboard_alone(browser: Browser, real: System) -> None:
    async with person(browser, real, "alice", reduced_motion="reduce") as alice:
        page, hops = alice.page, alice.page.locator("#hops > li:visible")
        await page.goto(AT)
        await focus_by_keyboard(page, "Skip to the content")
        await focus_by_keyboard(page, "request")
        await focus_by_keyboard(page, "Start the poisoned task")
        await page.keyboard.press("Enter")
        await expect(page.locator("#answer")).to_be_visible()
        assert await page.evaluate("document.getAnimations().length") == 0, "something moves"

        await focus_by_keyboard(page, "Back")
        await page.keyboard.press("Enter")
        shown = await hops.count()
        await focus_by_keyboard(page, "Show all")
        await page.keyboard.press("Space")
        await expect(hops.nth(shown)).to_be_visible()

        await focus_by_keyboard(page, "Sign out")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
