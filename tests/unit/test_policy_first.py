"""The first version of the policies is tested as any later one, and kept only if it is fit."""

from pathlib import Path

import pytest

from authorities.policy.first import begin
from authorities.policy.versions import FIRST, Content, Versions, VersionsError
from tests.unit.test_policy_office import CONTENT, REGISTRY, WRONG


def of(folder: Path, content: Content) -> Versions:
    return Versions(folder, lambda: content)


def test_a_first_version_that_is_fit_is_kept(tmp_path: Path) -> None:
    begin(versions := of(tmp_path, CONTENT), REGISTRY)

    first = of(tmp_path, WRONG).active
    assert first == versions.active
    assert (first.number, first.content, first.by, first.why) == (1, CONTENT, None, FIRST)


def test_one_that_is_not_is_refused_with_what_is_wrong_and_the_next_start_reads_it_anew(tmp_path: Path) -> None:
    with pytest.raises(VersionsError) as refused:
        begin(of(tmp_path, WRONG), REGISTRY)

    title, problem, *_, step = str(refused.value).splitlines()
    assert title == "policies/ may not be published as the first version, so nothing is in force:"
    assert problem.startswith("- decisions.md, line ")
    assert step.startswith("Correct them until `make check` finds nothing, then start again;")
    assert [*tmp_path.iterdir()] == []
    begin(corrected := of(tmp_path, CONTENT), REGISTRY)
    assert corrected.active.number == 1


def test_versions_that_are_kept_are_left_as_they_are(tmp_path: Path) -> None:
    """Operators need a policy authority that runs to mend what a changed registry has made unfit."""
    of(tmp_path, WRONG).begin()

    begin(versions := of(tmp_path, CONTENT), REGISTRY)
    assert (versions.active.number, versions.active.content) == (1, WRONG)
