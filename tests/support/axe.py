"""What `axe` finds on a page: rules of WCAG and good practice, run in the page without changing its policy."""

from importlib.resources import files

from playwright.async_api import Page

_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()


async def violations(page: Page) -> list[str]:
    """Return each violation with the elements that it is about."""
    await page.evaluate(_AXE)
    found = (await page.evaluate("axe.run()"))["violations"]
    return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}" for one in found]
