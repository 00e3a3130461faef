"""Versions of the policies: on the disk before anybody hears of them, and the newest in force."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from authorities.policy import versions
from authorities.policy.versions import MAX_WHY, Content, Version, Versions, VersionsError, Why, content_of
from tests.support.disk import FAULTS, Disk, Killed
from tests.support.policies import on_record, versions_in
from tests.support.system import POLICIES
from zerotrust.authority.files.reading import RegistryError
from zerotrust.registry.snapshot import MAX_POLICY

RULE = '@id("r")\npermit (principal, action, resource);'
FIRST = Content(policies={"a.cedar": RULE}, cedar_schema="entity Party;", table="")
OTHER = FIRST.model_copy(update={"policies": {"a.cedar": RULE, "b.cedar": RULE.replace('"r"', '"s"')}})


def added(kept: Versions, content: Content) -> Version:
    """A further version, in force."""
    return kept.use(kept.add(content, by="olga", why="trial"))


def replaced(file: Path, content: Content) -> None:
    """Another version of that number, as whoever can write there would make it."""
    found = Version.model_validate_json(file.read_bytes())
    file.write_text(found.model_copy(update={"content": content, "digest": content.document.digest}).model_dump_json())


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
    kept = versions_in(tmp_path, FIRST)
    for _ in range(4):
        added(kept, OTHER)

    assert [one.number for one in kept.all()] == [5, 4, 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000003.json", "000004.json", "000005.json"]
    assert kept.version(2) is None


def test_a_full_disk_changes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    kept = versions_in(tmp_path, FIRST)

    with Disk(tmp_path, 4, "ENOSPC").used(), pytest.raises(VersionsError, match=r"ENOSPC.*make room there"):
        added(kept, OTHER)
    assert kept.active.content == versions_in(tmp_path, OTHER).active.content == FIRST
    assert added(kept, OTHER).number == 2


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_text("{"), lambda file: replaced(file, OTHER)])
def test_a_start_ends_if_the_version_on_record_is_not_there(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    """An older version would take back what an operator has decided.  The same rules in policies/ will do."""
    second = added(versions_in(tmp_path, OTHER), FIRST)
    spoil(tmp_path / "000002.json")
    with pytest.raises(
        VersionsError, match=r"000002\.json is damaged, missing or not the version on record, .* policies/"
    ):
        Versions(tmp_path, lambda: OTHER, on_record(second))

    kept = Versions(tmp_path, lambda: FIRST, on_record(second))
    assert (kept.active.number, kept.active.content, kept.version(3)) == (3, FIRST, None)
    assert kept.active.why == "the rules of 000002.json, which is damaged or missing"


def test_an_older_version_that_is_damaged_or_not_what_its_name_says_does_not_matter(tmp_path: Path) -> None:
    kept = versions_in(tmp_path, FIRST)
    for _ in range(2):
        added(kept, OTHER)
    old = tmp_path / "000001.json"
    for text in (old.read_text().replace("permit", "forbid"), (tmp_path / "000002.json").read_text()):
        old.write_text(text)
        assert [one.number for one in versions_in(tmp_path, FIRST).all()] == [3, 2]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_disk_does_a_version_on_record_is_whole(tmp_path: Path, fault: str) -> None:
    failures = 0
    for at in range(1, 12):
        first = versions_in(folder := tmp_path / str(at), FIRST)
        disk = Disk(folder, at, fault)
        told = first.active
        with disk.used(), suppress(Killed, VersionsError):
            told = first.add(OTHER, by="olga", why="trial")
        failures += bool(disk.happened)
        disk.after_power_loss(after := tmp_path / f"{at} after")
        for left in (folder, after):
            assert Versions(left, lambda: OTHER, on_record(told)).active == told

    assert failures >= 4


def test_a_reason_is_one_line_and_short() -> None:
    reason = TypeAdapter[str](Why)

    assert reason.validate_python(" the audit asked for it ") == "the audit asked for it"
    for text in ("", " ", "x" * (MAX_WHY + 1), "one\ntwo", "\x1b[2J"):
        with pytest.raises(ValidationError):
            reason.validate_python(text)
