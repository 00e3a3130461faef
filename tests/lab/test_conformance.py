"""`make conformance`: an outcome is held to its table in both directions, and the page says what the table does."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lab.conformance import __main__ as program
from lab.conformance import running, suites
from lab.conformance.expected import EXPECTED
from lab.conformance.logs import FSCK, WITNESS
from lab.conformance.outcome import Outcome
from tests.support.system import ROOT

PAGE = (ROOT / "docs" / "reference" / "conformance.md").read_text()


def test_the_page_counts_what_is_expected_to_fail() -> None:
    mcp, kit = (len(checks) for checks in EXPECTED.values())

    assert f"{mcp} of the MCP suite and {kit} of the A2A kit" in PAGE


@pytest.mark.parametrize("version", [suites.SUITE, FSCK, WITNESS])
def test_the_page_names_the_versions_that_are_pinned(version: str) -> None:
    assert f" {version} " in PAGE


def test_what_fails_unlisted_and_what_passes_listed_are_both_unexpected() -> None:
    outcome = Outcome("x", "1", passed={"good", "repaired"}, failed={"known": "a", "new": "b"})

    assert outcome.unexpected({"known": "by design", "repaired": "by design"}) == {
        "new": "b",
        "repaired": "passes, but is listed: by design",
    }


# --- what does not run to its end -------------------------------------------------------------------------------------


async def mute(*_command: object, **_more: object) -> tuple[int, str]:
    """A program that fails."""
    return 1, "no"


async def a_program_that_hangs(_folder: Path) -> None:
    await running.run("sleep", "600")


async def a_suite_that_says_nothing(folder: Path) -> None:
    await suites._checks(folder, folder / "out", "http://127.0.0.1:1")


async def a_kit_that_says_nothing(folder: Path) -> None:
    (folder / "run_tck.py").touch()
    await suites.run_kit(folder, "http://127.0.0.1:1")


@pytest.mark.parametrize("broken", [a_program_that_hangs, a_suite_that_says_nothing, a_kit_that_says_nothing])
async def test_a_suite_that_does_not_run_to_its_end_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Callable[[Path], Awaitable[Any]]
) -> None:
    async def environment(*_asked: object) -> Path:
        return tmp_path

    monkeypatch.setattr(running, "SECONDS", 0.05)
    monkeypatch.setattr(suites, "environment", environment)
    monkeypatch.setenv("A2A_TCK", str(tmp_path))
    monkeypatch.setattr(suites, "run", mute)

    outcome = await program._run_suite("MCP conformance suite", lambda: broken(tmp_path))

    assert list(outcome.failed) == ["all"]
    assert program._report([outcome], {}) == 1


async def test_a_suite_that_is_not_installed_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    with pytest.raises(running.Missing, match="npm is not installed") as skipped:
        await program._run_suite("MCP conformance suite", lambda: suites.run_mcp_suite(tmp_path, gated="", bare=""))

    assert program._report([], {"MCP conformance suite": str(skipped.value)}) == 0
    said = capsys.readouterr().out
    assert "MCP conformance suite was skipped: npm is not installed" in said
    assert "All that ran is as expected." in said
