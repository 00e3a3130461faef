"""What no other run of the tests has, the one with another Python has."""

import re

from tests.support.system import ROOT

NEEDS = re.compile(r"^\s*needs_(ogx|client|server)\(\)$", re.MULTILINE)


def test_what_needs_a_llama_stack_server_runs_where_there_is_one() -> None:
    run = re.findall(r"\btests/[\w/.]+", (ROOT / ".ci" / "another-python").read_text())
    needing = [file for file in ROOT.glob("tests/*/test_*.py") if NEEDS.search(file.read_text())]

    assert len(needing) >= 4
    assert [file for file in needing if not any(file.is_relative_to(ROOT / place) for place in run)] == []


def test_each_notebook_is_executed_before_anything_lands() -> None:
    assert "\nmake test-notebooks\n" in (ROOT / ".ci" / "run").read_text()
