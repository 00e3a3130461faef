"""What `make attacks` shows while it runs, and at its end."""

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from tests.attacks.report import Tried, show, tried_in

WORKS = "succeeds without token-size"


def shown(found: dict[int, list[Tried]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(found, console)
    written: Any = console.file
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


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


def test_what_pytest_found_is_sorted_by_row() -> None:
    reports = [SimpleNamespace(user_properties=[("row", 24), ("way", "refused"), ("answers", "400")])]
    failed = [SimpleNamespace(user_properties=[("row", 24), ("way", WORKS)]), SimpleNamespace(user_properties=[])]

    assert tried_in({"passed": reports, "failed": failed, "skipped": reports}) == {
        24: [Tried("refused", passed=True, answers="400"), Tried(WORKS, passed=False)]
    }
