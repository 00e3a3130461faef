"""Screen e in a real browser: `verify.js` finds what Python finds, and each button's tampering is named."""

import base64
import gzip
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography import x509
from playwright.async_api import Page, Route, async_playwright, expect

from console.admission import HEADERS
from console.pages import page as rendered
from console.pages import static
from console.sessions import Session, Tokens
from evidence import approved, evidence_of
from testkit.party import principal
from tests.support.axe import violations
from tests.support.chromium import BROWSER, PROGRAM, Person
from tests.support.console import AT
from tests.support.receipt_cases import FILE, given
from tests.support.system import ROOT
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.tlog.quorum import policy

pytestmark = BROWSER

KEPT, PAGE = ROOT / "tests/golden/task", f"{AT}/tasks/{'1' * 32}/answer"
TESTS = "tests/unit/test_receipt_verification.py", "tests/attacks/test_z_receipts.py"
AT_ONCE = 50
"""Cases that are handed to the page together."""
REPLAY = """async (cases) => {
  const {Unproven, verify} = await import("/static/verify.js");
  const bytes = (text) => text === null ? null : Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return Promise.all(cases.map((given) =>
    verify({...given, answer: bytes(given.answer), request: bytes(given.request)}).then(
      () => null, (error) => error instanceof Unproven ? [error.step, error.party] : String(error))));
}"""


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """What the console would give for the task of a real system that was kept."""
    return given(
        gzip.decompress((KEPT / "answer.json.gz").read_bytes()),
        authorities=x509.load_pem_x509_certificates((KEPT / "ca.pem").read_bytes()),
        accepted=approved(load_registry(KEPT / "registry.yaml"), load_lock(KEPT / "registry.lock").parties),
        policy=policy((KEPT / "audit.policy").read_text()),
        evidence=evidence_of((KEPT / "answer.json.proof").read_bytes()),
        request=(KEPT / "request.json").read_bytes(),
        transaction=None,
    )


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What Python's tests give to `verify`, and what it finds; without those that are random or miss a control."""
    file = tmp_path_factory.mktemp("cases") / "cases.json"
    which = "not (succeeds or any_other_byte or unproven_at_worst or more_than_fits)"
    command = ["start/run", "pytest", "-q", "-p", "tests.support.receipt_cases", "-k", which, *TESTS]
    env = os.environ | {FILE: str(file)}
    subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)  # noqa: S603 - our own tests
    return list(json.loads(file.read_text()))


@asynccontextmanager
async def shown(files: dict[str, Any], told: str = "Proven. ", **how: Any) -> AsyncIterator[Page]:
    """The page of an answer, as the console sends it, with these files; it tells this first."""

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(AT)
        answer = static(path.rpartition("/")[2]) if path.startswith("/static/") else _page()
        body, kind = bytes(answer.body), answer.headers["content-type"]
        if path.endswith("/files"):
            body, kind = json.dumps(files).encode(), "application/json"
        await route.fulfill(body=body, headers={"content-type": kind, **HEADERS})

    complaints = list[str]()
    async with async_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=sandbox)
        page = await browser.new_page(**how)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.route("**/*", serve)
        await page.goto(PAGE)
        await expect(page.locator("#verdict")).to_contain_text(told, timeout=30_000)
        yield page
        assert complaints == []
        await browser.close()


def _page() -> Any:
    return rendered(Session(Tokens(principal(), "alice", "")), "answer", id="1" * 32, here=True)


async def test_the_browser_names_the_step_and_the_party_that_python_names(
    kept: dict[str, Any], cases: list[Any]
) -> None:
    results: list[Any] = []
    async with shown(kept) as page:
        for begin in range(0, len(cases), AT_ONCE):
            results += await page.evaluate(REPLAY, [given for given, _ in cases[begin : begin + AT_ONCE]])

    assert results == [found for _, found in cases]
    assert {found and found[0] for _, found in cases} == {None, *range(1, 10)}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_the_page_shows_who_acted_for_whom_and_each_button_is_found_out(
    kept: dict[str, Any], width: int, scheme: str
) -> None:
    async with shown(kept, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        verdict, steps = page.locator("#verdict"), page.locator("#steps li")
        await expect(page.locator("#steps .granted")).to_have_count(9)
        await expect(steps.nth(9)).to_contain_text("not done here")
        await expect(page.locator("#tree li")).to_have_count(23)
        await expect(page.locator("#tree")).to_contain_text("acting for agent/reader, for orchestrator, for you")
        await expect(page.locator("#tree")).to_contain_text("refused (resource_denied)")
        for button, step, party in (
            ("Change a word", 4, "orchestrator"),
            ("Leave out", 5, "agent/writer"),
            ("Forge", 2, "tool/documents"),
            ("other code", 8, "inference"),
        ):
            await page.get_by_role("button", name=button).click()
            await expect(verdict).to_contain_text(re.compile(rf"Not proven\. Step {step} of 10.*{party}: "))
            await expect(steps.nth(step - 1)).to_contain_text("not proven")
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.get_by_role("button", name="Restore").click()
            await expect(verdict).to_contain_text("Proven. ")


async def test_files_are_saved_and_anchors_of_ones_own_replace_the_consoles(
    kept: dict[str, Any], tmp_path: Any
) -> None:
    lock = json.loads((KEPT / "registry.lock").read_text())
    lock["parties"]["inference"]["code"] = "0" * 64
    (other := tmp_path / "registry.lock").write_text(json.dumps(lock))
    del lock["parties"]["inference"]
    (without := tmp_path / "without.lock").write_text(json.dumps(lock))

    async with shown(kept | {"authorities": ""}, "Step 2 of 10") as page:
        for name, file, told in (
            ("ca.pem", KEPT / "ca.pem", "Proven. "),
            ("registry.lock", other, "Step 8 of 10"),
            ("registry.lock", without, "Step 9 of 10"),
            ("registry.lock", KEPT / "registry.lock", "Proven. "),
            ("audit.policy", KEPT / "audit.policy", "Proven. "),
        ):
            await page.get_by_label(f"Your own {name}").set_input_files(file)
            await expect(page.locator("#verdict")).to_contain_text(told)
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="answer.json", exact=True).click()
        assert (await (await saving.value).path()).read_bytes() == base64.b64decode(kept["answer"])


async def test_an_answer_without_receipts_is_unproven(kept: dict[str, Any]) -> None:
    async with shown(kept | {"answer": base64.b64encode(b"{}").decode()}, "Step 1 of 10"):
        pass


@pytest.mark.e2e
async def test_an_answer_of_the_running_system_is_proven(alice: Person) -> None:
    task = await alice.start()
    await expect(alice.page.locator("#answer")).to_be_visible()
    await alice.page.get_by_role("link", name="Who took part").click()
    await expect(alice.page.locator("#verdict")).to_contain_text("Proven. ")
    assert alice.page.url == f"{task}/answer"
    await expect(alice.page.locator("#tree")).to_contain_text("agent/reader")
    assert alice.complaints == []
