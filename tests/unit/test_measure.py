"""The digest that a party's code is known by."""

import os
from pathlib import Path

import pytest

from authorities.attestation.verifier import measure as module
from authorities.attestation.verifier.measure import (
    BYTECODE_CACHES,
    NANOSECONDS_TO_SETTLE,
    Files,
    MeasureError,
    digest_of,
    format_paths,
    measure_files,
)


def measure(root: Path, folders: list[str], *, leave_out: frozenset[str] = frozenset()) -> str:
    return digest_of(measure_files(root, folders, leave_out=leave_out))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"code/main.py": "x = 1", "code/part/deep.py": "y = 2", "other/main.py": "z = 3"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("code/main.py", "x = 2"),
        ("code/part/deep.py", "y = 3"),
        ("code/new.py", ""),
        ("code/template.html", "<p>"),
        ("code/main.pyc", "bytecode without its source runs"),
        ("code/__pycache__.py", "a file, not the folder of that name"),
    ],
)
def test_any_changed_or_added_file_changes_the_digest(root: Path, name: str, text: str) -> None:
    before = measure(root, ["code"], leave_out=BYTECODE_CACHES)

    (root / name).write_text(text)

    assert measure(root, ["code"], leave_out=BYTECODE_CACHES) != before


def test_a_moved_or_removed_file_changes_the_digest(root: Path) -> None:
    before = measure(root, ["code"])
    (root / "code/main.py").rename(root / "code/mian.py")
    moved = measure(root, ["code"])
    (root / "code/mian.py").unlink()

    assert len({before, moved, measure(root, ["code"])}) == 3


def test_text_cannot_move_between_a_name_and_a_content(tmp_path: Path) -> None:
    for folder, name, text in ("one", "ab", "c"), ("two", "a", "bc"):
        (tmp_path / folder / "code").mkdir(parents=True)
        (tmp_path / folder / "code" / name).write_text(text)

    assert measure(tmp_path / "one", ["code"]) != measure(tmp_path / "two", ["code"])


@pytest.mark.parametrize("name", ["code/link.py", "code/__pycache__", "code/pipe"])
def test_a_link_is_refused_for_its_target_would_run_unmeasured_and_a_pipe_for_it_would_never_end(
    root: Path, name: str
) -> None:
    if name == "code/pipe":
        os.mkfifo(root / name)
    else:
        (root / name).symlink_to(root / "other")

    with pytest.raises(MeasureError, match="neither a file nor a folder"):
        measure(root, ["code"], leave_out=BYTECODE_CACHES)


def test_a_missing_folder_is_an_error_and_not_an_empty_measurement(root: Path) -> None:
    with pytest.raises(MeasureError, match="No such file"):
        measure(root, ["code", "nowhere"])


# Looking again


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    names: list[str] = []
    genuine = module._read

    def reading(path: Path) -> module.MeasuredFile:
        names.append(path.name)
        return genuine(path)

    monkeypatch.setattr(module, "_read", reading)
    return names


@pytest.fixture
def later(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A time at which all that was written before is long settled."""
    now = max(path.stat().st_ctime_ns for path in root.rglob("*")) + 2 * NANOSECONDS_TO_SETTLE
    monkeypatch.setattr("time.time_ns", lambda: now)
    return now


@pytest.mark.usefixtures("later")
def test_only_what_was_touched_is_read_again(root: Path, read: list[str]) -> None:
    files = Files(root, leave_out=())
    first = files.look(["code"])
    assert sorted(read) == ["deep.py", "main.py"]

    (root / "code/main.py").touch()

    assert files.look(["code"]) == first
    assert sorted(read) == ["deep.py", "main.py", "main.py"]


def test_what_was_written_at_the_moment_it_was_read_is_read_again(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a file system tells the time in steps: the next write could leave the same time behind."""
    written = (root / "code/main.py").stat().st_ctime_ns
    monkeypatch.setattr("time.time_ns", lambda: written + NANOSECONDS_TO_SETTLE // 2)
    files = Files(root, leave_out=())

    for _ in range(2):
        files.look_at("code/main.py")

    assert read == ["main.py", "main.py"]


def test_a_folder_or_a_pipe_in_the_place_of_a_single_file_is_an_error_and_keeps_nobody_waiting(root: Path) -> None:
    os.mkfifo(root / "code/pipe")

    with pytest.raises(MeasureError, match="code: not a file"):
        Files(root, leave_out=()).look([], ["code"])
    with pytest.raises(MeasureError, match="pipe: not a file"):
        Files(root, leave_out=()).look_at("code/pipe")
    assert module._read(root / "code/pipe").digest  # it has taken the file's place while we look


def test_links_count_by_what_they_point_to_where_they_are_followed(root: Path) -> None:
    (root / "code/link.py").symlink_to(root / "other/main.py")
    (root / "code/linked").symlink_to(root / "other")

    found = Files(root, leave_out=(), links=True).look(["code", "other"])

    assert found["code/link.py"] == found["code/linked/main.py"] == found["other/main.py"]


def test_a_loop_of_links_is_an_error_and_no_endless_walk(root: Path) -> None:
    (root / "code/loop").symlink_to(root / "code")

    with pytest.raises(MeasureError, match="Too many levels of symbolic links"):
        Files(root, leave_out=(), links=True).look(["code"])


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
        (["\udcff\x1b"], r"\udcff\x1b"),
    ],
)
def test_the_first_changed_files_are_reported_by_name(paths: list[str], text: str) -> None:
    assert format_paths(paths) == text
