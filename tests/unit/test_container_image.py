"""What is measured of a root file system, and what stands in place of what cannot be."""

import hashlib
import os
from pathlib import Path

import pytest

from authorities.attestation.containers import image
from authorities.attestation.containers.image import CLOSED, LARGE, SPECIAL, ImageFiles, load_pin, pin
from authorities.attestation.containers.root import ContainerRoot
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.watch import Watch


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/libc.so").write_bytes(b"libc")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/kcore").write_bytes(b"never read")
    return tmp_path


def test_every_file_has_its_digest_and_every_link_its_target(root: Path) -> None:
    assert ImageFiles().look(str(root)) == {"/usr/lib/libc.so": sha(b"libc"), "/lib": "-> usr/lib"}


def test_what_is_no_file_or_too_large_is_named_and_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.setattr(image, "MAX_FILE", 4)
    (root / "large").write_bytes(b"12345")

    found = ImageFiles().look(str(root))

    assert (found["/pipe"], found["/large"]) == (SPECIAL, LARGE)


def test_what_this_user_cannot_read_is_closed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(image, "_read", refuse)

    assert ImageFiles().look(str(root))["/usr/lib/libc.so"] == CLOSED


@pytest.mark.parametrize("folders", [True, False])
def test_there_is_an_end_to_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folders: bool) -> None:
    monkeypatch.setattr(image, "MAX_FILES", 10)
    for number in range(11):
        (tmp_path / str(number)).mkdir() if folders else (tmp_path / str(number)).touch()

    with pytest.raises(MeasureError, match="more than 10 files and folders"):
        ImageFiles().look(str(tmp_path))


def test_a_shared_file_is_read_once_and_a_changed_one_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    files, original = ImageFiles(), image._read

    def counted(path: str) -> str:
        read.append(path)
        return original(path)

    monkeypatch.setattr(image, "_read", counted)
    for _ in range(2):
        files.look(str(root))
    assert len(read) == 1
    (root / "usr/lib/libc.so").write_bytes(b"libd!")

    assert files.look(str(root))["/usr/lib/libc.so"] == sha(b"libd!")


def test_the_pin_is_what_a_container_of_the_image_has(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFiles, "look", lambda _, __, ___, **how: {"/a": "1", "left out": str(how["leave_out"])})

    assert pin(root / "pin.json") == 2
    assert load_pin(root / "pin.json")["/a"] == "1"
    assert str(root / "pin.json") in load_pin(root / "pin.json")["left out"]


def container(root: Path, problem: str | None = None) -> ContainerRoot:
    files = ImageFiles()
    expected = files.look(str(root))
    return ContainerRoot(str(root), files, expected=expected, leave_out=frozenset({"/proc"}), problem=lambda: problem)


@pytest.mark.parametrize(
    ("problem", "most", "changed"),
    [
        pytest.param(None, image.MAX_FILES, [], id="as built"),
        pytest.param("it was started as 'sh'", image.MAX_FILES, ["it was started as 'sh'"], id="another process"),
        pytest.param(None, 0, ["more than 0 files and folders"], id="cannot be measured"),
    ],
)
def test_what_a_process_has_become_and_what_cannot_be_measured_count_as_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch, problem: str | None, most: int, changed: list[str]
) -> None:
    one = container(root, problem)
    monkeypatch.setattr(image, "MAX_FILES", most)
    one.look()

    assert one.changed == changed


@pytest.mark.parametrize("how", ["look", "look_at"])
def test_a_file_that_is_planted_changed_or_removed_is_found(root: Path, how: str) -> None:
    one = container(root)
    (root / "usr/lib/planted.so").write_bytes(b"x")
    (root / "usr/lib/libc.so").unlink()
    one.look() if how == "look" else one.look_at([f"{root}/usr/lib/planted.so", f"{root}/usr/lib/libc.so"])
    assert one.changed == ["/usr/lib/libc.so", "/usr/lib/planted.so"]
    (root / "usr/lib/planted.so").unlink()
    one.look_at([f"{root}/usr/lib/planted.so"])

    assert one.changed == ["/usr/lib/libc.so"]


def test_the_kernel_reports_changes_below_the_root_and_none_behind_a_link(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "away").symlink_to(elsewhere)
    one = container(root)
    with Watch() as watch:
        one.watch(watch)
        (elsewhere / "file").write_text("x")
        (root / "proc/file").write_text("x")
        assert watch.read() == set()
        (root / "usr/lib/planted.so").write_bytes(b"x")
        reported = watch.read()

    assert reported == {f"{root}/usr/lib/planted.so"}
    assert one.holds(f"{root}/usr/lib/planted.so")
    assert not one.holds(f"{root}2/usr")
