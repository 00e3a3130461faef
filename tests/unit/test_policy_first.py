"""What is in force after a start: on record and tested as at an activation, or what the system was set up with."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from authorities.policy import versions
from authorities.policy.startup import begin, target_of, versions_on_record
from authorities.policy.versions import Content, Summary, Versions, VersionsError
from tests.support.contents import CONTENT, LESS, REGISTRY, WRONG
from zerotrust.audit.event_types import RegistryChange
from zerotrust.audit.forms import sanitize
from zerotrust.audit.journal import Journal
from zerotrust.audit.recorder import Recorder

Recorded = Collection[tuple[int, str]]


def of(folder: Path, content: Content, on_record: Recorded = frozenset()) -> Versions:
    return Versions(folder, lambda: content, on_record)


def started(folder: Path, content: Content, on_record: Recorded = frozenset()) -> Versions:
    begin(begun := of(folder, content, on_record), REGISTRY)
    return begun


def key(version: Summary) -> tuple[int, str]:
    return version.number, version.digest


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
    activated = begun.add(LESS, by="olga", why="less")
    begun.add(CONTENT, by=by, why="planted")

    kept = started(tmp_path, CONTENT, {key(activated)})

    assert kept.active.content == LESS
    assert (kept.active.number, kept.active.of, kept.active.by) == (4, 2, None)
    assert kept.active.why == "version 3 is not on record"
    assert "`zt policy rollback 3`" in caplog.text
    assert [one.number for one in kept.all()] == [4, 3, 2, 1], "an operator can look at it, and activate it"
    again = started(tmp_path, CONTENT, {key(activated), key(kept.active)})
    assert again.active == kept.active


def test_a_version_on_record_that_is_gone_ends_the_start_until_somebody_puts_it_aside(tmp_path: Path) -> None:
    """Also if another file takes its place: an older version would take back what an operator has decided."""
    begun = started(tmp_path, CONTENT)
    on_record = {key(begun.active), key(begun.add(LESS, by="olga", why="less"))}
    begun.add(CONTENT, by=None, why="planted")
    (tmp_path / "000002.json").unlink()

    with pytest.raises(VersionsError, match=r"000002\.json is damaged, missing or not the one on record"):
        started(tmp_path, CONTENT, on_record)
    (tmp_path / "000002.damaged").touch()
    assert (started(tmp_path, CONTENT, on_record).active.of) == 1


def test_starts_that_end_before_their_record_make_nobody_forget_what_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "KEPT", 4)
    begun = started(tmp_path, CONTENT)
    on_record = {key(begun.active), key(begun.add(LESS, by="olga", why="less"))}
    begun.add(CONTENT, by=None, why="planted")

    for _ in range(6):
        kept = started(tmp_path, CONTENT, on_record)

        assert (kept.active.content, kept.active.of) == (LESS, 2)
        assert len(kept.all()) <= 4


def test_a_file_that_is_not_on_record_uses_no_number_up_that_is_far_away(tmp_path: Path) -> None:
    """The registry takes no version more than 1,000 above the one before; none has a number above `MAX_VERSION`."""
    begun = started(tmp_path, CONTENT)
    for number in (1500, 999_999_999):
        planted = begun.active.model_copy(update={"number": number})
        (tmp_path / f"{number:06}.json").write_text(planted.model_dump_json())

    assert started(tmp_path, CONTENT, {key(begun.active)}).active.number == 2


async def test_what_a_journal_has_on_record_and_that_it_is_whole(tmp_path: Path) -> None:
    kept, path = started(tmp_path / "versions", CONTENT), tmp_path / "journal.jsonl"
    assert versions_on_record(path) == frozenset()
    journal = Journal(path)
    recorder = Recorder(journal, "spiffe://agents.example/authority/policy")
    for version in (kept.active, kept.add(LESS, by="olga", why="less")):
        await recorder.write(RegistryChange(action="in_force", target=target_of(version)))
    withdrawn = kept.add(CONTENT, by="olga", why="refused")
    await recorder.write(RegistryChange(action="activate", target=target_of(withdrawn)))
    kept.withdraw(withdrawn)
    await recorder.write(RegistryChange(action="in_force", target=target_of(kept.active)))
    await recorder.write(RegistryChange(action="suspend", target=sanitize("policy 9")))
    await asyncio.to_thread(journal.close)
    assert versions_on_record(path) == {key(one) for one in kept.all()}

    text = path.read_text()
    path.write_text(text.replace("policy 1 ", "policy 7 "))
    with pytest.raises(VersionsError, match="record 1 was changed"):
        versions_on_record(path)
