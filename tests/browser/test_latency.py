"""From a decision to the screen: how long it takes until a hop that was recorded is in the page."""

from statistics import quantiles

import pytest
from playwright.async_api import Browser, expect

from start.system import System
from tests.support.chromium import BROWSER, person

pytestmark = [pytest.mark.e2e, *BROWSER]

TASKS = 3
NOTE = """
globalThis.took = [];
new MutationObserver((changes) => {
  for (const one of changes.flatMap((change) => [...change.addedNodes])) {
    if (one.parentNode?.id === "hops") took.push(Date.now() / 1000 - Number(one.dataset.at));
  }
}).observe(document, { childList: true, subtree: true });
"""
"""Notes for each hop the seconds since its record was made: both clocks are this machine's."""


async def test_the_time_from_decision_to_screen(
    browser: Browser, real: System, capsys: pytest.CaptureFixture[str]
) -> None:
    took = list[float]()
    async with person(browser, real, "alice") as alice:
        await alice.page.add_init_script(NOTE)
        for _ in range(TASKS):
            await alice.start()
            await expect(alice.page.locator("#answer")).to_be_visible()
            await expect(alice.page.locator("#hops > li").nth(20)).to_be_visible()
            took += await alice.page.evaluate("took")

    assert len(took) > 20 * TASKS
    assert min(took) > 0
    hundredths = quantiles(took, n=100)
    with capsys.disabled():
        print(f"\nfrom decision to screen: p50 {hundredths[49]:.2f} s, p99 {hundredths[98]:.2f} s, {len(took)} hops")
