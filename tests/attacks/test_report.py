"""What `make attacks` shows while it runs, and at its end."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.attacks.report import Tried, beforehand, show, sums, tried_in
from tests.attacks.table import GROUPS, ROWS, group_of
from tests.support.progress import Progress

WORKS = "succeeds without token-size"


def shown(found: dict[int, list[Tried]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(found, console)
    written: Any = console.file
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def test_every_row_is_in_a_group() -> None:
    assert {group_of(number) for number in ROWS} == set(GROUPS)


@pytest.mark.parametrize("width", [80, 120])
def test_every_attack_fits_and_no_word_is_broken(width: int) -> None:
    found = {
        number: [Tried("refused", passed=True, answers="401"), Tried("succeeds without x", passed=True)]
        for number in ROWS
    }
    text = shown(found, width)

    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    assert set(" ".join(row.attack for row in ROWS.values()).split()) <= words
    assert all(title in text for title in GROUPS.values())
    assert " ".join(text.split()).endswith(" ".join(sums(found).split()))


def test_an_attack_that_was_blocked_says_so_with_the_control_that_it_works_without() -> None:
    text = shown({24: [Tried("refused", passed=True, answers="400"), Tried(WORKS, passed=True, tries="15 of 20")]}, 120)

    assert "blocked: 400 token_too_large" in text
    assert "works without token-size, in 15 of 20 tries" in text
    assert "1 attacks: all blocked." in text
    assert "FAILED" not in text


def test_an_attack_that_was_not_blocked_and_a_control_that_does_not_matter_cannot_be_overlooked() -> None:
    text = shown({24: [Tried("refused", passed=False), Tried(WORKS, passed=False)]}, 120)

    assert "NOT BLOCKED as this row says" in text
    assert "NOT BLOCKED BY THIS: fails also without token-size" in text
    assert "1 attacks: 0 blocked." in text
    assert "2 tests FAILED." in text


def test_the_tries_that_something_else_stops_are_counted() -> None:
    text = shown({22: [Tried("refused", passed=True, beside={"pydantic": "23 of 27"})]}, 80)

    assert "23 of 27 tries: pydantic" in text


def test_what_pytest_found_is_sorted_by_row() -> None:
    reports = [SimpleNamespace(user_properties=[("row", 24), ("way", "refused"), ("answers", "400")])]
    failed = [SimpleNamespace(user_properties=[("row", 24), ("way", WORKS)]), SimpleNamespace(user_properties=[])]

    assert tried_in({"passed": reports, "failed": failed, "skipped": reports}) == {
        24: [Tried("refused", passed=True, answers="400"), Tried(WORKS, passed=False)]
    }


def test_its_length_is_said_beforehand() -> None:
    assert beforehand([1, 1, 2], 7, 3).startswith("2 attacks, 7 tests: ")
    assert "The last 3 start Keycloak" in beforehand([1], 7, 3)
    assert "Keycloak" not in beforehand([1], 7, 0)


class Writer:
    fullwidth = 60

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, **_: Any) -> None:
        self.text += text


def progress(*, terminal: bool) -> str:
    """What is written for two tests of one group, of which the second fails, and one of another."""
    writer, now = Writer(), iter([0.0, 0.0, 61.0, 62.0, 63.0])

    def write_line(text: str) -> None:
        writer.write(f"{text}\n")

    reporter = SimpleNamespace(isatty=terminal, _tw=writer, write_line=write_line)
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda _: reporter))
    one = Progress(
        config, announce=lambda items: f"{len(items)} tests", group_of=lambda n: n[0], clock=lambda: next(now)
    )
    session: Any = SimpleNamespace(items=[SimpleNamespace(nodeid=name) for name in ("a1", "a2", "b1")])
    one.pytest_collection_finish(session)
    for name in ("a1", "a2", "b1"):
        report: Any = SimpleNamespace(nodeid=name, failed=name == "a2", passed=name != "a2", when="call", outcome="x")
        one.pytest_runtest_logreport(report)
        assert one.pytest_report_teststatus(report) == ("x", "", "")
        one.pytest_runtest_logfinish(name)
    return writer.text


def test_on_a_pipe_each_group_has_one_plain_line() -> None:
    assert progress(terminal=False).splitlines() == [
        "3 tests",
        "FAILED a2",
        "a: 2 tests, 1 failed (2 of 3, 1:02, about 0:31 left)",
        "b: 1 tests (3 of 3, 1:03)",
    ]


def test_on_a_terminal_the_line_changes_with_every_test() -> None:
    text = progress(terminal=True)

    assert "\r\x1b[Ka (1 of 3, 1:01, about 2:02 left)\r" in text
    assert "\r\x1b[Ka: 2 tests, 1 failed (2 of 3, 1:02, about 0:31 left)\n" in text
