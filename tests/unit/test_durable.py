"""A file is on the disk whole or not at all, and the key of a log stays what it was."""

import errno
import os
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from zerotrust.authority.ledger.note_key import NoteKeyError, load_key, new_key
from zerotrust.durable import sync_folder, write_file
from zerotrust.tlog.note import ED25519


def test_a_file_replaces_the_older_one_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"one", b"two"):
        write_file(file, content)
        sync_folder(tmp_path)

    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_what_the_kernel_takes_in_parts_is_written_whole(tmp_path: Path) -> None:
    write = os.write
    with patch("zerotrust.durable.os.write", lambda fd, data: write(fd, data[:3])):
        write_file(tmp_path / "file", b"0123456789")

    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close"])
def test_where_it_fails_the_older_file_stays(tmp_path: Path, call: str) -> None:
    (file := tmp_path / "file").write_bytes(b"old")
    with (
        patch(f"zerotrust.durable.os.{call}", side_effect=OSError(errno.ENOSPC, "no room")),
        pytest.raises(OSError, match="no room"),
    ):
        write_file(file, b"new")

    assert file.read_bytes() == b"old"
    if call in {"write", "fsync"}:
        assert list(tmp_path.iterdir()) == [file]
    write_file(file, b"new")  # whatever is left of the first try
    assert file.read_bytes() == b"new"


def test_it_is_written_elsewhere_first_if_that_is_wanted(tmp_path: Path) -> None:
    (folder := tmp_path / "log").mkdir()
    before = list[Path]()

    def renamed(path: Path, target: Path) -> None:
        before.extend([path, target])

    with patch.object(Path, "rename", renamed):
        write_file(folder / "file", b"new", by=tmp_path / "unfinished")

    assert before == [tmp_path / "unfinished", folder / "file"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    opened = list[int]()
    original = os.open

    def noted(*args: Any) -> int:
        opened.append(original(*args))
        return opened[-1]

    with patch("zerotrust.durable.os.open", noted):
        write_file(tmp_path / "file", b"new")
        sync_folder(tmp_path)

    assert len(opened) == 2
    for fd in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    happened = list[str]()
    fsync, rename = os.fsync, Path.rename

    def synced_first(fd: int) -> None:
        happened.append("fsync")
        fsync(fd)

    def renamed(path: Path, target: Path) -> Path:
        happened.append("rename")
        return rename(path, target)

    with patch("zerotrust.durable.os.fsync", synced_first), patch.object(Path, "rename", renamed):
        write_file(tmp_path / "file", b"new")
        sync_folder(tmp_path)

    assert happened == ["fsync", "rename", "fsync"]


def test_a_key_is_the_same_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "run" / "data" / "log.key"
    made, kept = (make(file, "agents.example/audit", ED25519) for make in (new_key, load_key))

    assert kept.public == made.public
    kept.public.verify(made.private.sign(b"message"), b"message")
    assert kept.public.name == "agents.example/audit"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FrozenInstanceError):
        kept.public = made.public  # type: ignore[misc]


def test_a_key_is_durable_before_anything_is_signed(tmp_path: Path) -> None:
    synced_folders = list[Path]()
    with patch("zerotrust.authority.ledger.note_key.sync_folder", synced_folders.append):
        new_key(tmp_path / "log.key", "agents.example/audit", ED25519)

    assert synced_folders == [tmp_path]


@pytest.mark.parametrize(("mode", "length", "why"), [(0o640, 32, "mode 640"), (0o600, 31, "not a key of 32 bytes")])
def test_a_key_that_others_may_have_read_or_that_is_damaged_is_not_used(
    tmp_path: Path, mode: int, length: int, why: str
) -> None:
    new_key(file := tmp_path / "log.key", "agents.example/audit", ED25519)
    file.write_bytes(file.read_bytes()[:length])
    file.chmod(mode)

    with pytest.raises(NoteKeyError, match=why):
        load_key(file, "agents.example/audit", ED25519)
