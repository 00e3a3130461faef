"""A file is on the disk whole or not at all, and the key of a log stays what it was."""

import errno
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from zerotrust.audit.note_key import NoteKeyError, kept_key, new_key
from zerotrust.durable import synced, written
from zerotrust.tlog.note import ED25519


def test_a_file_replaces_the_older_one_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"one", b"two"):
        written(file, content)
        synced(tmp_path)

    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_what_the_kernel_takes_in_parts_is_written_whole(tmp_path: Path) -> None:
    write = os.write
    with patch("zerotrust.durable.os.write", lambda fd, data: write(fd, data[:3])):
        written(tmp_path / "file", b"0123456789")

    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close"])
def test_where_it_fails_the_older_file_stays(tmp_path: Path, call: str) -> None:
    (file := tmp_path / "file").write_bytes(b"old")
    with (
        patch(f"zerotrust.durable.os.{call}", side_effect=OSError(errno.ENOSPC, "no room")),
        pytest.raises(OSError, match="no room"),
    ):
        written(file, b"new")

    assert file.read_bytes() == b"old"
    written(file, b"new")  # whatever is left of the first try
    assert file.read_bytes() == b"new"


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
        written(tmp_path / "file", b"new")
        synced(tmp_path)

    assert happened == ["fsync", "rename", "fsync"]


def test_a_key_is_the_same_after_a_restart(tmp_path: Path) -> None:
    made = new_key(tmp_path / "data" / "log.key", "agents.example/audit", ED25519)
    kept = kept_key(tmp_path / "data" / "log.key", "agents.example/audit", ED25519)

    assert kept.public == made.public
    kept.public.verify(made.private.sign(b"message"), b"message")
    assert kept.public.name == "agents.example/audit"
    assert (tmp_path / "data" / "log.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_may_have_read_is_not_used(tmp_path: Path) -> None:
    new_key(file := tmp_path / "log.key", "agents.example/audit", ED25519)
    file.chmod(0o640)

    with pytest.raises(NoteKeyError, match="mode 640"):
        kept_key(file, "agents.example/audit", ED25519)


def test_a_damaged_key_is_not_used(tmp_path: Path) -> None:
    new_key(file := tmp_path / "log.key", "agents.example/audit", ED25519)
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(NoteKeyError, match="not a key of 32 bytes"):
        kept_key(file, "agents.example/audit", ED25519)
