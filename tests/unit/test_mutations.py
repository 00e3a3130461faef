"""The script that deletes every check covers every module, with tests that exist and run what is deleted."""

from tests.mutations import ROOT, SOURCES, TESTS, files_of


def test_every_module_has_tests_that_are_to_notice() -> None:
    assert TESTS.keys() <= SOURCES.keys()
    assert [module for module in SOURCES if len(files_of(module)) < 2] == []


def test_every_test_it_names_exists() -> None:
    assert [file for module in TESTS for file in files_of(module) if not (ROOT / file).exists()] == []
