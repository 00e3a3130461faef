"""Screen e in a real browser: `verify.js` finds what Python finds, and each button's tampering is named."""

import base64
import gzip
import hashlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from playwright.async_api import Page, expect
from typer.testing import CliRunner

from console.pages import static
from evidence import approved, evidence_of
from evidence.unproven import STEPS
from tests.support.axe import violations
from tests.support.chromium import BROWSER, Person
from tests.support.receipt_cases import FILE, given
from tests.support.served import served
from tests.support.system import ROOT
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.receipts.carried import parse_answer
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE
from zerotrust.tlog.quorum import policy
from zt.commands import app

pytestmark = BROWSER

KEPT = ROOT / "tests/golden/task"
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
HELD = """async (cases) => {
  Object.assign(globalThis, {checking: -1, leftOut: -1});
  const {verify} = await import("/checks.js");
  const bytes = (text) => text === null ? null : Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const find = (given, left) => {
    leftOut = left;
    const whole = {...given, answer: bytes(given.answer), request: bytes(given.request)};
    return verify(whole).then(() => "", ({step, party}) => `${step} ${party}`);
  };
  const held = new Set();
  for (const [given] of cases) {
    const found = await find(given, -1);
    const check = checking;
    if (found && !held.has(check) && (await find(given, check)) !== found) held.add(check);
  }
  return [...held];
}"""
"""Returns the numbers of the checks without which another step or party is found in a case, or none."""
HELD_BY_WHAT_FOLLOWS = "base64 in another spelling", "there is no proof", "too few witnesses"
"""Checks in the place of a value: without one, there is no value, and so the same step fails with other words."""


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """What the console would give for the task of a real system that was kept."""
    answer = gzip.decompress((KEPT / "answer.json.gz").read_bytes())
    carried = parse_answer(answer)
    assert carried
    return given(
        answer,
        authorities=x509.load_pem_x509_certificates((KEPT / "ca.pem").read_bytes()),
        accepted=approved(load_registry(KEPT / "registry.yaml"), load_lock(KEPT / "registry.lock").parties),
        policy=policy((KEPT / "audit.policy").read_text()),
        evidence=evidence_of((KEPT / "answer.json.proof").read_bytes()),
        request=(KEPT / "request.json").read_bytes(),
        transaction=jwt.decode(carried.receipts[0], options={"verify_signature": False})["txn"],
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
async def shown(
    files: dict[str, Any],
    told: str = "9 of 10 are proven. ",
    more: dict[str, tuple[str, str]] | None = None,
    **how: Any,
) -> AsyncIterator[Page]:
    """The page of an answer, as the console sends it, with these files; it tells this first."""
    values = {"id": "1" * 32, "here": True, "transaction": files["transaction"]}
    all_files = {"/files": (json.dumps(files), "application/json")} | (more or {})
    async with served("answer", values, all_files, **how) as page:
        await expect(page.locator("#verdict")).to_contain_text(told, timeout=30_000)
        yield page


async def test_the_browser_names_the_step_and_the_party_that_python_names(
    kept: dict[str, Any], cases: list[Any]
) -> None:
    results: list[Any] = []
    async with shown(kept) as page:
        for begin in range(0, len(cases), AT_ONCE):
            results += await page.evaluate(REPLAY, [given for given, _ in cases[begin : begin + AT_ONCE]])

    assert results == [found for _, found in cases]
    assert {found and found[0] for _, found in cases} == {None, *range(1, 10)}


async def test_each_check_is_held_by_a_case(kept: dict[str, Any], cases: list[Any]) -> None:
    """Without the check that refuses a case, something else is found."""
    source, number = bytes(static("verify.js").body).decode(), count()
    check = re.compile(r"\b(must|fail)\(")
    lines = [line.strip() for line in source.splitlines() for _ in check.finditer(line)]
    marked = check.sub(
        lambda one: f"(checking = {next(number)}, checking === leftOut ? () => {{}} : {one[1]})(", source
    )
    async with shown(kept, more={"/checks.js": (marked, "text/javascript")}) as page:
        held = await page.evaluate(HELD, cases)

    left = [line for n, line in enumerate(lines) if n not in held]
    assert [one for one in left if not any(reason in one for reason in HELD_BY_WHAT_FOLLOWS)] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
async def test_the_page_shows_who_acted_for_whom_and_each_button_is_found_out(
    kept: dict[str, Any], width: int, scheme: str
) -> None:
    zone: dict[str, Any] = {"timezone_id": "Asia/Kolkata"}
    async with shown(kept, viewport={"width": width, "height": 800}, color_scheme=scheme, **zone) as page:
        verdict, steps = page.locator("#verdict"), page.locator("#steps li")
        await expect(page.locator("#steps .granted")).to_have_count(9)
        await expect(steps.nth(9)).to_contain_text("not done here")
        await expect(page.locator("#tree li")).to_have_count(23)
        await expect(page.locator("#tree")).to_contain_text("acting for agent/reader, for orchestrator, for you")
        await expect(page.locator("#tree")).to_contain_text("FIN-201, needs tool.read: refused (resource_denied)")
        await expect(verdict).to_contain_text("GMT+5:30.")
        for button, step, party in (
            ("Change a word", 4, "orchestrator"),
            ("Leave out", 5, "agent/writer"),
            ("Forge", 2, "tool/documents"),
            ("other code", 8, "inference"),
        ):
            await page.get_by_role("button", name=button).click()
            await expect(verdict).to_contain_text(re.compile(rf"Not proven: that .* \(step {step} of 10\)\. {party}: "))
            await expect(page.locator("#tree")).to_have_text("Not shown: steps 1 to 9 are not all proven.")
            await expect(steps.nth(step - 1)).to_contain_text("not proven")
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.get_by_role("button", name="Restore").click()
            await expect(verdict).to_contain_text("Steps 1 to 9 of 10 are proven. ")


async def test_the_command_of_the_page_verifies_the_files_that_it_offers(kept: dict[str, Any], tmp_path: Path) -> None:
    async with shown(kept) as page:
        for link in await page.locator("a[download]").all():
            async with page.expect_download() as saving:
                await link.click()
            download = await saving.value
            await download.save_as(tmp_path / download.suggested_filename)
        command = (await page.locator("#command").inner_text()).split()
        digests = await page.locator("[data-anchor]").all_inner_texts()

    assert (tmp_path / "answer.json").read_bytes() == base64.b64decode(kept["answer"])
    trusted = [KEPT / "ca.pem", KEPT / "audit.policy"]
    words = [str(tmp_path / word) if word.endswith(".json") else word for word in command[1:]]
    words += ["--ca", str(trusted[0]), "--policy", str(trusted[1])]
    done = CliRunner().invoke(app, words, env={"ZT_SYSTEM": str(KEPT)})
    assert done.exit_code == 0, done.output
    assert digests[0] == hashlib.sha256(kept["authorities"].encode()).hexdigest()
    assert digests[1] == hashlib.sha256(kept["policy"].encode()).hexdigest()


@pytest.mark.parametrize(("spoilt", "step"), [({"transaction": "another"}, 4), ({"authorities": ""}, 2)])
async def test_receipts_of_another_token_or_of_nobody_known_are_unproven(
    kept: dict[str, Any], spoilt: dict[str, str], step: int
) -> None:
    async with shown(kept | spoilt, f"step {step} of 10"):
        pass


async def test_what_could_not_be_verified_proves_no_step(kept: dict[str, Any]) -> None:
    async with shown(kept | {"accepted": None}, "Not proven: it cannot be verified: ") as page:
        assert await page.locator("#steps .granted").count() == 0


async def test_the_page_names_the_steps_and_the_life_of_certificates_as_python_does(kept: dict[str, Any]) -> None:
    async with shown(kept) as page:
        named = [text.rpartition(": ")[0] for text in await page.locator("#steps li").all_inner_texts()]
        assert named == [*STEPS]
        await expect(page.get_by_text(f"at most {LONGEST_CERTIFICATE} s")).to_be_visible()


async def test_an_answer_without_receipts_is_unproven(kept: dict[str, Any]) -> None:
    async with shown(kept | {"answer": base64.b64encode(b"{}").decode()}, "step 1 of 10"):
        pass


@pytest.mark.e2e
async def test_an_answer_of_the_running_system_is_proven(alice: Person) -> None:
    task = await alice.start()
    await expect(alice.page.locator("#answer")).to_be_visible()
    await alice.page.get_by_role("link", name="Who took part").press("Enter")  # it moves while hops arrive
    await expect(alice.page.locator("#verdict")).to_contain_text("Steps 1 to 9 of 10 are proven. ")
    assert alice.page.url == f"{task}/answer"
    await expect(alice.page.locator("#tree")).to_contain_text("agent/reader")
    assert alice.complaints == []
