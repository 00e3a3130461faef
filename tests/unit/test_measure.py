"""The digest that a party's code is known by."""

import os
from pathlib import Path

import pytest

from authorities.attestation.measure import BYTECODE_CACHES, MeasureError, digest_of, measure_files


def measure(root: Path, folders: list[str], *, leave_out: frozenset[str] = frozenset()) -> str:
    return digest_of(measure_files(root, folders, leave_out=leave_out))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"code/main.py": "x = 1", "code/part/deep.py": "y = 2", "other/main.py": "z = 3"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_same_files_have_the_same_digest_whatever_the_order_of_the_folders(root: Path) -> None:
    assert measure(root, ["code", "other"]) == measure(root, ["other", "code"])


def test_names_count_from_the_root_so_a_copy_elsewhere_has_the_same_digest(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    (copy / "other").mkdir(parents=True)
    (copy / "other/main.py").write_text("z = 3")

    assert measure(copy, ["other"]) == measure(root, ["other"])


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


def test_bytecode_caches_count_unless_they_are_left_out(root: Path) -> None:
    before = measure(root, ["code"])
    cache = root / "code/part/__pycache__"
    cache.mkdir()
    (cache / "deep.cpython-311.pyc").write_text("planted")

    assert measure(root, ["code"]) != before
    assert measure(root, ["code"], leave_out=BYTECODE_CACHES) == before


@pytest.mark.parametrize("name", ["code/link.py", "code/__pycache__"])
def test_a_link_is_refused_because_its_target_would_run_unmeasured(root: Path, name: str) -> None:
    (root / name).symlink_to(root / "other")

    with pytest.raises(MeasureError, match="neither a file nor a folder"):
        measure(root, ["code"], leave_out=BYTECODE_CACHES)


def test_a_pipe_is_refused_because_reading_it_would_never_end(root: Path) -> None:
    os.mkfifo(root / "code/pipe")

    with pytest.raises(MeasureError, match="neither a file nor a folder"):
        measure(root, ["code"])


def test_a_missing_folder_is_an_error_and_not_an_empty_measurement(root: Path) -> None:
    with pytest.raises(MeasureError, match="No such file"):
        measure(root, ["code", "nowhere"])
