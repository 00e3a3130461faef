"""Reading a file as a whole: it has a bound, and blocks nobody."""

import os
from pathlib import Path

import pytest

from zerotrust.authority.bounded_file import file_content


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert file_content(file, 5) == b"12345"

    with pytest.raises(OSError, match="more than 4 bytes") as raised:
        file_content(file, 4)
    assert raised.value.strerror == "more than 4 bytes"


@pytest.mark.parametrize("device", [False, True], ids=["a pipe that nobody writes to", "a device without end"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, *, device: bool) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="not a regular file"):
        file_content(Path("/dev/zero") if device else tmp_path / "pipe", 5)


def test_people_may_name_a_pipe_which_has_the_same_bound(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"12345")
    os.close(writer)
    try:
        assert file_content(Path(f"/dev/fd/{reader}"), 5, pipe=True) == b"12345"
    finally:
        os.close(reader)

    with pytest.raises(OSError, match="more than 5 bytes"):
        file_content(Path("/dev/zero"), 5, pipe=True)
