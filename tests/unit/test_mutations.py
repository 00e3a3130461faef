"""The script that deletes every check covers every module, with tests that exist and run what is deleted."""

import ast

from tests.mutations import ROOT, SOURCES, TESTS, who_may_notice
from tests.support.mutants import Mutant
from tests.support.reached import Passed


def test_every_module_has_tests_that_are_to_notice() -> None:
    assert set(TESTS) == set(SOURCES)


def test_every_test_it_names_exists() -> None:
    named = {name for names in TESTS.values() for name in names.split()}

    assert [name for name in named if not (ROOT / "tests" / f"{name}.py").exists()] == []


def test_a_mutant_meets_the_tests_that_run_its_lines_the_likeliest_first() -> None:
    line = frozenset({("audit.counts", 3)})
    other = frozenset({("audit.counts", 5), ("gate", 3)})
    tests = [
        Passed("tests/unit/test_gate.py::test_by_a_fixture", 0.1, frozenset(), line),
        Passed("tests/unit/test_gate.py::test_slow", 2, line, frozenset()),
        Passed("tests/unit/test_gate.py::test_quick", 1, line, frozenset()),
        Passed("tests/unit/test_gate.py::test_that_noticed_others", 9, line, frozenset()),
        Passed("tests/unit/test_gate.py::test_another_line", 1, other, frozenset()),
        Passed("tests/unit/test_counts.py::test_slower", 3, line, frozenset()),
        Passed("tests/unit/test_jwks.py::test_of_another_module", 1, line, frozenset()),
    ]

    chosen = who_may_notice("audit.counts", Mutant(range(3, 5), "x", ast.parse("")), tests, {tests[3].id: 1})

    assert [test.id.rpartition("::")[2] for test in chosen] == [
        "test_slower",
        "test_that_noticed_others",
        "test_quick",
        "test_slow",
        "test_by_a_fixture",
    ]
