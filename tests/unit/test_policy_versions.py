"""Versions of the policies: on the disk before anybody hears of them, and the newest in force."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from authorities.policy import versions
from authorities.policy.versions import FIRST as SET_UP
from authorities.policy.versions import MAX_WHY, Content, Versions, VersionsError, Why, content_of
from tests.support.disk import FAULTS, Disk, Killed
from tests.support.policies import ON_RECORD
from tests.support.system import POLICIES
from zerotrust.authority.files.reading import RegistryError
from zerotrust.registry.snapshot import MAX_POLICY

RULE = '@id("r")\npermit (principal, action, resource);'
FIRST = Content(policies={"a.cedar": RULE}, cedar_schema="entity Party;", table="")
OTHER = FIRST.model_copy(update={"policies": {"a.cedar": RULE, "b.cedar": RULE.replace('"r"', '"s"')}})


def opened(folder: Path, first: Callable[[], Content] = lambda: FIRST) -> Versions:
    kept = Versions(folder, first, ON_RECORD, clock=lambda: 1000.0)
    if not kept.begun:
        kept.add(kept.active.content, by=None, why=SET_UP)
    return kept


def never() -> Content:
    raise AssertionError("the versions on the disk count")


def test_a_folder_is_the_document_that_services_are_sent() -> None:
    content = content_of(POLICIES)

    assert content.document.policies == "\n".join(file.read_text() for file in sorted(POLICIES.glob("*.cedar")))
    assert content.table == (POLICIES / "decisions.md").read_text()


def test_a_folder_without_a_table_or_with_a_text_that_is_none(tmp_path: Path) -> None:
    for file in POLICIES.glob("*.cedar*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(RegistryError, match=r"decisions\.md: cannot be read"):
        content_of(tmp_path)
    (tmp_path / "decisions.md").write_bytes(b"\xff")
    with pytest.raises(RegistryError, match="utf-8"):
        content_of(tmp_path)


def test_policies_have_a_bound_all_together_and_their_files_are_names() -> None:
    half = "/" * (MAX_POLICY // 2)
    with pytest.raises(ValueError, match="more than 65536 characters"):
        Content(policies={"a.cedar": half, "b.cedar": half}, cedar_schema="", table="")
    with pytest.raises(ValueError, match="more than 393216 bytes"):
        Content(policies={"a.cedar": half}, cedar_schema="", table="\U0001f512" * 100_000)
    for name in ("../a.cedar", "a.txt", ".cedar", "a/b.cedar", "x" * 100 + ".cedar"):
        with pytest.raises(ValueError, match=r"policies"):
            Content(policies={name: RULE}, cedar_schema="", table="")


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "KEPT", 3)
    kept = opened(tmp_path)
    for _ in range(4):
        kept.add(OTHER, by="olga", why="trial")

    assert [one.number for one in kept.all()] == [5, 4, 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000003.json", "000004.json", "000005.json"]
    with pytest.raises(KeyError):
        kept.version(2)


def test_an_operator_can_have_the_numbers_go_on_above_one_that_was_used_up(tmp_path: Path) -> None:
    """As docs/how-to/change-a-rule.md says: where a compromised authority has brought high numbers to the registry."""
    opened(tmp_path)
    (tmp_path / "004001.withdrawn").touch()

    kept = opened(tmp_path, never)

    assert kept.active.number == 1
    assert kept.add(FIRST, by="olga", why="above what was used up").number == 4002
    assert opened(tmp_path, never).active.number == 4002


def test_what_is_withdrawn_hides_no_damage(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.add(OTHER, by="olga", why="good")
    kept.withdraw(kept.add(FIRST, by="olga", why="trial"))
    (tmp_path / "000002.json").write_text("{")

    with pytest.raises(VersionsError, match=r"000002\.json is damaged"):
        opened(tmp_path)


def test_what_cannot_be_put_aside_is_said(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    added = kept.add(OTHER, by="olga", why="trial")

    with Disk(tmp_path, 1, "EIO").used(), pytest.raises(VersionsError, match=r"000002\.json cannot be put aside"):
        kept.withdraw(added)
    assert kept.active == added, "as it is after a restart"


def test_a_full_disk_changes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    kept = opened(tmp_path)

    with Disk(tmp_path, 4, "ENOSPC").used(), pytest.raises(VersionsError, match=r"ENOSPC.*make room there"):
        kept.add(OTHER, by="olga", why="trial")
    assert kept.active.content == opened(tmp_path, never).active.content == FIRST
    assert kept.add(OTHER, by="olga", why="again").number == 2


def test_a_damaged_newest_version_ends_the_start_until_somebody_puts_it_aside(tmp_path: Path) -> None:
    opened(tmp_path).add(OTHER, by="olga", why="trial")
    file = tmp_path / "000002.json"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(VersionsError, match=r"000002\.json is damaged.*rename it to 000002\.damaged"):
        opened(tmp_path)
    file.rename(tmp_path / "000002.damaged")
    kept = opened(tmp_path, never)

    assert kept.active.number == 1
    assert kept.add(OTHER, by="olga", why="again").number == 3, "the registry may know another version 2"
    for file in tmp_path.glob("*.json"):
        file.rename(file.with_suffix(".damaged"))
    assert (opened(tmp_path).active.number, opened(tmp_path).active.content) == (4, FIRST)


def test_a_file_with_other_rules_than_its_digest_is_damaged(tmp_path: Path) -> None:
    kept = opened(tmp_path)
    kept.add(OTHER, by="olga", why="trial")
    old = tmp_path / "000001.json"
    old.write_text(old.read_text().replace("permit", "forbid"))

    with pytest.raises(VersionsError, match=r"000001\.json is damaged"):
        kept.version(1)
    assert [one.number for one in opened(tmp_path).all()] == [2], "an older one does not matter"
    old.write_bytes((tmp_path / "000002.json").read_bytes())
    with pytest.raises(VersionsError, match="not what it was"):
        kept.version(1)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_disk_does_one_whole_version_is_in_force(tmp_path: Path, fault: str) -> None:
    failures = 0
    for at in range(1, 12):
        folder = tmp_path / str(at)
        opened(folder)
        disk = Disk(folder, at, fault)
        told, kept = 1, opened(folder, never)
        with disk.used(), suppress(Killed, VersionsError):
            told = kept.add(OTHER, by="olga", why="trial").number
        assert kept.active.content == (OTHER if told == 2 else FIRST)
        failures += bool(disk.happened)
        disk.after_power_loss(after := tmp_path / f"{at} after")
        for left in (folder, after):
            found = opened(left, never).active
            assert found.content == (OTHER if found.number == 2 else FIRST)
            assert found.number >= told

    assert failures >= 4


def test_a_reason_is_one_line_and_short() -> None:
    reason = TypeAdapter[str](Why)

    assert reason.validate_python(" the audit asked for it ") == "the audit asked for it"
    for text in ("", " ", "x" * (MAX_WHY + 1), "one\ntwo", "\x1b[2J"):
        with pytest.raises(ValidationError):
            reason.validate_python(text)
