"""What is in force after a start: on record and tested as at an activation, or what the system was set up with."""

import asyncio
from pathlib import Path

import pytest

from authorities.policy.startup import begin, target_of, versions_on_record
from authorities.policy.versions import Content, OnRecord, Versions, VersionsError
from tests.support.contents import CONTENT, LESS, REGISTRY, WRONG
from tests.support.policies import on_record
from zerotrust.audit.event_types import RegistryChange
from zerotrust.audit.forms import sanitize
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder

NOTHING = OnRecord()


def started(folder: Path, content: Content, recorded: OnRecord = NOTHING) -> Versions:
    begin(begun := Versions(folder, lambda: content, recorded), REGISTRY)
    return begun


def test_one_that_is_not_is_refused_with_what_is_wrong_and_the_next_start_reads_it_anew(tmp_path: Path) -> None:
    with pytest.raises(VersionsError) as refused:
        started(tmp_path, WRONG)

    title, problem, *_, step = str(refused.value).splitlines()
    assert title == "policies/ may not be published as the first version, so nothing is in force:"
    assert problem.startswith("- decisions.md, line ")
    assert step.startswith("Correct them until `make check` finds nothing, then start again;")
    assert [*tmp_path.iterdir()] == []
    assert started(tmp_path, CONTENT).active.number == 1


@pytest.mark.parametrize("by", ["olga", None])
def test_a_version_that_is_not_on_record_is_not_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, by: str | None
) -> None:
    """Whoever can write a file can write one that looks like an operator's, or like the first."""
    begun = started(tmp_path, CONTENT)
    activated = begun.use(begun.add(LESS, by="olga", why="less"))
    begun.add(CONTENT, by=by, why="planted")

    kept = started(tmp_path, CONTENT, on_record(activated))

    assert (kept.active, [one.number for one in kept.all()]) == (activated, [2, 1])
    assert "000003.json is not on record, and so not in force" in caplog.text
    again = kept.use(kept.add(CONTENT, by="olga", why="less again"))
    assert again.number == 3
    assert started(tmp_path, CONTENT, on_record(again)).active == again
    assert started(tmp_path, LESS).active.number == 1, "nothing is on record"


def test_the_rules_of_a_version_that_is_gone_are_in_force_again_under_a_further_number(tmp_path: Path) -> None:
    gone = started(tmp_path, CONTENT).active
    (tmp_path / "000001.json").unlink()

    kept = started(tmp_path, CONTENT, on_record(gone))

    assert (kept.active.number, kept.active.digest, kept.version(2)) == (2, gone.digest, kept.active)


async def test_what_a_journal_has_on_record_and_that_it_is_whole(tmp_path: Path) -> None:
    kept, path = started(tmp_path / "versions", CONTENT), tmp_path / "journal.jsonl"
    assert versions_on_record(path) == NOTHING
    journal = Journal(path)
    recorder = Recorder(journal, "spiffe://agents.example/authority/policy")
    first = kept.active
    refused = kept.add(LESS, by="olga", why="refused")
    for version in (first, refused, first):
        await recorder.write(RegistryChange(action="in_force", target=target_of(version)))
    await recorder.write(RegistryChange(action="suspend", target=sanitize("policy 9")))
    await asyncio.to_thread(journal.close)
    assert versions_on_record(path) == OnRecord(1, first.digest, highest=2)

    text = path.read_text()
    path.write_text(text.replace("policy 1 ", "policy 7 "))
    with pytest.raises(VersionsError, match="record 1 was changed"):
        versions_on_record(path)
