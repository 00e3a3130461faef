"""The script that deletes every check covers every module, with tests that exist and run what is deleted."""

from coverage import CoverageData

from tests.mutations import ROOT, SOURCES, TESTS, files_of, who_may_notice


def test_every_module_has_tests_that_are_to_notice() -> None:
    assert set(TESTS) == set(SOURCES)


def test_every_test_it_names_exists() -> None:
    assert [file for module in TESTS for file in files_of(module) if not (ROOT / file).exists()] == []


def test_a_mutant_meets_the_tests_that_run_its_lines_and_whole_files_whose_fixtures_do() -> None:
    data = CoverageData(no_disk=True)
    counts, gate, outcome = (f"tests/unit/test_{name}.py" for name in ("counts", "gate", "outcome"))
    for context, module, line in (
        (gate, "audit.counts", 3),
        (f"{gate}::test_a", "audit.counts", 3),
        (f"{counts}::test_b", "audit.counts", 4),
        (f"{counts}::test_c", "audit.counts", 5),
        (f"{counts}::test_d", "gate", 3),
        (f"{outcome}::test_of_other_modules", "audit.counts", 3),
    ):
        data.set_context(context)
        data.add_lines({str(SOURCES[module]): [line]})

    assert who_may_notice("audit.counts", range(3, 5), data) == [f"{counts}::test_b", gate]
    data.close(force=True)  # what is in memory alone is not closed otherwise
