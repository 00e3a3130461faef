"""The comparison, without a system: what is said of its rows, and that nothing is called as expected that is not."""

import re
from pathlib import Path

import pytest

from console.comparison import FILE, Seen, last
from console.pages import page
from console.sessions import Session
from lab.before import attacks
from lab.before.attacks import Outcome
from lab.before.comparison import Row, store
from lab.before.expected import EXPECTED, Expected
from lab.before.llama_stack.attacks import ATTACKS
from lab.without import Control, where
from testkit.party import principal
from tests.support.pages import PRINCIPLES
from tests.support.system import ROOT

NO_CONTROL = {"mutual TLS", "registry.yaml: may_call", "the gate records each decision"}
"""What is no piece of our code to take away."""


def got(happened: str) -> Outcome:
    return Outcome(succeeded=True, happened=happened, seconds=0.02)


def refused(happened: str) -> Outcome:
    return Outcome(succeeded=False, happened=happened, seconds=0.01)


PAGE = (ROOT / "docs" / "learn" / "before.md").read_text()


def test_the_principles_come_in_their_order() -> None:
    assert list(dict.fromkeys(one.principle for one in EXPECTED)) == PRINCIPLES


@pytest.mark.parametrize("one", EXPECTED, ids=lambda one: one.what)
def test_each_check_that_is_named_is_in_the_code(one: Expected) -> None:
    if one.check not in NO_CONTROL:
        for name in one.check.split(", "):
            assert where(Control(name))


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        (got("200 ok"), refused("401 revoked"), []),
        (refused("401 no"), refused("401 revoked"), ["before: did not succeed: 401 no"]),
        (got("200 ok"), got("200 ok"), ["after: succeeded: 200 ok"]),
        (got("200 ok"), refused("503 stale"), ["after: 503 stale, where 401 revoked is expected"]),
    ],
)
def test_a_row_says_where_it_is_not_as_expected(before: Outcome, after: Outcome, wrong: list[str]) -> None:
    expected = Expected(attacks.go_on_after_sign_out, "it goes on", PRINCIPLES[2], "401 revoked", "caller-not-revoked")

    assert Row(expected, before, after).wrong == wrong


def test_the_page_in_the_docs_has_each_answer_and_each_check() -> None:
    [section] = re.findall(r"^## The same attacks.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]
    found = [re.sub(r"[`\[\]]|\(\.\.[^)]*\)|, by the realm", "", f"{row[2]} / {row[3]}") for row in told[1:]]

    assert found == [f"{one.answered} / {_as_told(one.check)}" for one in EXPECTED]


def _as_told(check: str) -> str:
    return "may_call in registry.yaml" if check == "registry.yaml: may_call" else check


def test_the_console_shows_what_was_stored(tmp_path: Path) -> None:
    one, what = EXPECTED[0], next(what for what, (_, run) in ATTACKS.items() if run is EXPECTED[0].run)
    store([Row(one, got("200 ok"), refused("no"))], {what: got("it")}, tmp_path)

    found = last(tmp_path)

    assert found
    [row] = found.attacks
    assert (row.what, row.check, row.figure_1.happened, row.here.succeeded) == (one.what, one.check, "200 ok", False)
    assert row.figure_3 == Seen(succeeded=True, happened="it")


@pytest.mark.parametrize("tried", [True, False])
def test_the_page_has_a_column_of_figure_3_where_that_was_tried(tmp_path: Path, *, tried: bool) -> None:
    of_figure_3 = {next(iter(ATTACKS)): got("it")} if tried else {}
    store([Row(one, got("200 ok"), refused("no")) for one in EXPECTED], of_figure_3, tmp_path)

    shown = bytes(page(Session(principal(), "alice", ""), "comparison", found=last(tmp_path)).body).decode()

    assert ("<th>Figure 3</th>" in shown, "Figure 3 was not tried" in shown) == (tried, not tried)
    checks = {name for one in EXPECTED if one.check not in NO_CONTROL for name in one.check.split(", ")}
    reference = (ROOT / "docs/reference/attacks.md").read_text()
    assert not [name for name in checks if f"`{name}`" not in reference]  # the page says that each is there


@pytest.mark.parametrize(("at", "right"), [("2026-11-30T19:00:00Z", True), ("2026-11-30T19:00:00", False)])
def test_a_file_that_is_no_comparison_is_none(tmp_path: Path, at: str, *, right: bool) -> None:
    (tmp_path / FILE).write_text(f'{{"at": "{at}", "attacks": []}}')

    assert (last(tmp_path) is not None) == right


def test_each_attack_on_figure_3_has_its_place() -> None:
    assert {run for _, run in ATTACKS.values()} <= {one.run for one in EXPECTED}
