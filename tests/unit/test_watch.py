"""What the kernel says about changed files."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from authorities.attestation.verifier import watch as watch_module
from authorities.attestation.verifier.watch import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    with Watch() as watch:
        yield watch


@pytest.fixture
def folder(tmp_path: Path, watch: Watch) -> Path:
    folder = tmp_path / "watched"
    (folder / "part").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "part/known.py").write_text("x = 1")
    watch.folder(str(folder), leave_out={"__pycache__", str(folder / "left")})
    return folder


def test_what_is_forgotten_is_watched_no_longer(watch: Watch, folder: Path) -> None:
    beside = folder.parent / "beside"
    beside.mkdir()
    watch.folder(str(beside))
    watch.read()
    before = len(watch._paths)

    watch.forget(str(folder))
    (folder / "part/known.py").write_text("x = 2")
    (folder / "new.py").touch()
    (beside / "new.py").touch()

    assert watch.read() == {str(beside / "new.py")}
    assert before > len(watch._paths) == len(_kernels(watch)) == 2
    watch.forget(str(beside))
    assert (watch._paths, watch._names, watch._whole, watch._folders, _kernels(watch)) == ({}, {}, {}, {}, [])


def _kernels(watch: Watch) -> list[str]:
    """What the kernel watches (proc(5), fdinfo)."""
    lines = Path(f"/proc/self/fdinfo/{watch.fileno()}").read_text().splitlines()
    return [line for line in lines if line.startswith("inotify ")]


def test_folders_may_be_nested_more_deeply_than_calls(watch: Watch, tmp_path: Path) -> None:
    deep = tmp_path / "/".join("d" * 200)
    deep.mkdir(parents=True)
    most = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        watch.folder(str(tmp_path / "d"))
    finally:
        sys.setrecursionlimit(most)
    (deep / "new.py").touch()

    assert watch.read() == {str(deep / "new.py")}


def test_reading_alone_and_what_is_left_out_are_no_news(watch: Watch, folder: Path) -> None:
    (folder / "part/known.py").read_text()
    (folder / "__pycache__/new.pyc").touch()
    (folder / "left").mkdir()
    (folder / "left/new.py").touch()
    (folder.parent / "beside.py").touch()

    assert watch.read() == set()


def test_where_a_folder_comes_anything_may_have_changed_and_it_is_watched_from_then_on(
    watch: Watch, folder: Path
) -> None:
    (folder / "deep/er").mkdir(parents=True)
    assert watch.read() is None

    (folder / "deep/er/new.py").touch()

    assert watch.read() == {str(folder / "deep/er/new.py")}


def test_a_watched_folder_that_went_and_came_back_is_watched_again(watch: Watch, folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    assert watch.read() is None
    folder.mkdir()
    assert watch.read() is None

    (folder / "new.py").touch()
    (folder / "__pycache__").mkdir()

    assert watch.read() == {str(folder / "new.py")}


def test_a_single_file_is_reported_by_every_path_that_it_was_asked_for_by(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").symlink_to("folder")
    asked_for = {str(tmp_path / folder / "file") for folder in ("folder", "other")}
    for path in asked_for:
        watch.file(path)

    (tmp_path / "folder" / "file").touch()
    assert watch.read() == asked_for


def test_links_are_followed_and_not_in_circles(watch: Watch, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (folder := tmp_path / "folder").mkdir()
    for name, target in (("one", "."), ("two", "."), ("linked", elsewhere)):
        (folder / name).symlink_to(target)
    watch.folder(str(folder))

    (folder / "file").touch()
    (elsewhere / "file").touch()
    assert watch.read() == {str(folder / "file"), str(folder / "linked" / "file")}


def test_where_there_was_too_much_to_tell_anything_may_have_changed(watch: Watch, folder: Path) -> None:
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(room + 10):
        (folder / f"{number % 2}").touch()  # in turn, for the same event twice in a row is told once

    assert watch.read() is None


def test_more_folders_than_the_kernel_watches_is_an_error_that_names_the_setting(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def inotify_add_watch(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(watch_module, "_libc", Full())
    monkeypatch.setattr("ctypes.get_errno", lambda: 28)

    with pytest.raises(OSError, match=r"fs\.inotify\.max_user_watches"):
        watch.folder(str(folder))
