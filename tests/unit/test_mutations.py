"""The script that deletes every check covers every module, with tests that exist."""

from tests.mutations import ROOT, SOURCES, TESTS


def test_every_module_has_tests_that_are_to_notice() -> None:
    assert set(TESTS) == {file.stem for file in SOURCES}


def test_every_test_it_names_exists() -> None:
    named = {name for names in TESTS.values() for name in names.split()}

    assert [name for name in named if not (ROOT / "tests" / f"{name}.py").exists()] == []
