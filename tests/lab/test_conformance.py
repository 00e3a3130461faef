"""`make conformance`: an outcome is held to its table in both directions, and the page says what the table does."""

import re

import pytest

from lab.conformance.expected import EXPECTED
from lab.conformance.gos import VERSION as SPIFFE
from lab.conformance.nodes import CLIENT, INSPECTOR, SDK, SUITE
from lab.conformance.outcome import Outcome
from lab.conformance.pythons import LEGACY
from tests.support.system import ROOT

PAGE = (ROOT / "docs" / "conformance.md").read_text()


def test_the_page_lists_what_is_expected_to_fail_and_why() -> None:
    told = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE.partition("## What fails by design")[2], re.MULTILINE)

    assert told[1:] == [(suite, name, why) for suite, checks in EXPECTED.items() for name, why in checks.items()]


@pytest.mark.parametrize("version", [SUITE, INSPECTOR, CLIENT, SDK, LEGACY, SPIFFE])
def test_the_page_names_the_versions_that_are_pinned(version: str) -> None:
    assert f"| {version} |" in PAGE


def test_what_fails_unlisted_and_what_passes_listed_are_both_unexpected() -> None:
    outcome = Outcome("x", "1", passed={"good", "repaired"}, failed={"known": "a", "new": "b"})

    assert outcome.unexpected({"known": "by design", "repaired": "by design"}) == {
        "new": "b",
        "repaired": "passes, and is listed: by design",
    }


def test_a_client_is_held_to_each_thing_that_it_was_to_tell() -> None:
    outcome = Outcome("x", "1").expect({"call": "ok", "list": "error"}, {"call": "^ok$", "list": "^ok$", "more": "x"})

    assert (outcome.passed, outcome.failed) == ({"call"}, {"list": "error", "more": "nothing"})
