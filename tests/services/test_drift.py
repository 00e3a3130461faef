"""What happens to an identity when code, packages or the interpreter change under a running service."""

import asyncio
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from mmap import mmap
from pathlib import Path

import pytest

from authorities.attestation.local import stage
from authorities.attestation.local.installed import PIN
from authorities.attestation.local.launch import LaunchError
from authorities.attestation.verifier.measure import Stamp, stamps
from tests.support.launched import FETCH, PROJECT, Authority, Probe, Site, authority, log_of, probe, site
from tests.support.waiting import until
from zerotrust.authority.files.lock import FILES, LOCK, REGISTRY

__all__ = ["authority", "probe", "site"]

PACKAGES = [
    *("_cffi_backend", "annotated_types", "cffi", "cryptography", "google", "grpc", "jwt", "orjson", "pem"),
    *("pyasn1", "pyasn1_modules", "pydantic", "pydantic_core", "spiffe", "typing_extensions", "typing_inspection"),
    "yaml",
]
"""What the authority's own command and the official client load."""

FETCH_X509 = """
from spiffe import WorkloadApiClient

with WorkloadApiClient(default_timeout=20) as client:
    answer = str(client.fetch_x509_svid().spiffe_id)
"""


async def noticed(authority: Authority, files: str) -> None:
    await until(lambda: files in authority.drifted.get("agent/reader", ""))


async def restored(authority: Authority) -> None:
    await until(lambda: authority.drifted == {})


def lying(site: Site) -> dict[str, str]:
    """The registry's files, as the registry would say that it has read them."""
    return {name: hashlib.sha256((site.root / name).read_bytes()).hexdigest() for name in FILES}


# The project's code


async def test_a_changed_file_is_noticed_at_once_told_by_name_and_forgotten_when_it_is_put_back(
    authority: Authority, probe: Probe
) -> None:
    helper = authority.site.helper
    genuine = helper.read_text()
    told: list[dict[str, str]] = []

    async def listen() -> None:
        async for state in authority._drift.changes():
            told.append(state)

    listening = asyncio.create_task(listen())
    helper.write_text("value = 'changed'\n")
    await noticed(authority, "agents/reader/helper.py")
    assert "no identity issued" in await probe.run(FETCH_X509)
    helper.write_text(genuine)
    await restored(authority)

    assert "agent/reader" in await probe.run(FETCH_X509)
    listening.cancel()
    assert [state["agent/reader"] for state in told] == ["", "agents/reader/helper.py", ""]
    events = [line for line in log_of(authority.site.run_dir) if line["event"] in {"drifted", "restored"}]
    assert [(line["event"], line.get("changed")) for line in events] == [
        ("drifted", "agents/reader/helper.py"),
        ("restored", None),
    ]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda path: (path / "helper.pyc").write_bytes(b"planted"), "helper.pyc"),
        (lambda path: (path / "helper.py").rename(path / "other.py"), "helper.py"),
        (lambda path: path.rename(path.with_name("away")), "agents/reader"),
        (lambda path: (path / "link.py").symlink_to("/etc/hostname"), "link.py"),
    ],
    ids=["bytecode planted", "renamed", "the folder itself", "a link"],
)
async def test_whatever_changes_among_a_partys_files_is_noticed(
    authority: Authority, probe: Probe, change: Callable[[Path], object], name: str
) -> None:
    await probe.run("answer = 0")

    change(authority.site.root / "agents/reader")

    await noticed(authority, name)
    assert "no identity issued" in await probe.run(FETCH)


async def test_a_write_that_leaves_size_and_time_as_they_were_is_found_by_its_ctime(
    authority: Authority, probe: Probe
) -> None:
    path = authority.site.helper
    assert (await probe.run(FETCH)).count(".") == 2
    status = path.stat()

    path.write_text(path.read_text().replace("genuine", "planted"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert "no identity issued" in await probe.run(FETCH)


@pytest.mark.parametrize("name", ["registry.yaml", "registry.lock"])
async def test_the_registrys_own_files_are_part_of_the_registry_authority(authority: Authority, name: str) -> None:
    probe = await authority.probe(party="authority/registry")
    await probe.run("answer = 0")

    with (authority.site.root / name).open("a") as file:
        file.write("\n")

    await until(lambda: authority.drifted == {"authority/registry": name})
    assert "no identity issued" in await probe.run(FETCH)

    authority._use(lying(authority.site))  # an operator has it read them anew
    assert authority.drifted == {}
    assert await probe.run(FETCH_X509) == "spiffe://agents.example/authority/registry"


# The copy that a party runs from


@contextmanager
def mapped(path: Path) -> Iterator[mmap]:
    """The file's content in memory: who writes to it writes to the file, and no program is told."""
    with path.open("r+b") as file, mmap(file.fileno(), 0) as content:
        yield content


@pytest.fixture
def noted(site: Site) -> None:
    """Where the kernel notes such writes: on a disk it does, in memory (tmpfs) not."""
    file = site.place / "file"
    file.write_text("a")
    before = file.stat().st_ctime_ns
    time.sleep(0.02)
    with mapped(file) as content:
        content[:] = b"b"
    if file.stat().st_ctime_ns == before:
        pytest.skip("this file system does not note what is written through a mapping")


@pytest.mark.usefixtures("noted")
async def test_what_is_changed_while_a_party_loads_it_and_put_back_is_no_identity(
    authority: Authority, probe: Probe
) -> None:
    assert (await probe.run(FETCH)).count(".") == 2
    helper = probe.launched.stage.path / "agents/reader/helper.py"

    with mapped(helper) as content:
        genuine = content[:]
        content[:] = genuine.replace(b"genuine", b"changed")
        content[:] = genuine

    assert "no identity issued" in await probe.run(FETCH)
    assert "helper.py" in authority.drifted["agent/reader"]


@pytest.mark.usefixtures("noted")
async def test_who_holds_a_file_of_the_copy_since_it_was_made_changes_nothing_unnoticed(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was written to before is noted by the kernel once it is on the disk, and then anew."""
    with ExitStack() as stack:
        held: list[mmap] = []

        def hold(folder: Path) -> dict[str, Stamp]:
            content = stack.enter_context(mapped(folder / "agents/reader/helper.py"))
            content[:] = content[:]
            held.append(content)
            return stamps(folder)

        monkeypatch.setattr(stage, "stamps", hold)
        probe = await authority.probe()
        assert (await probe.run(FETCH)).count(".") == 2
        genuine = held[0][:]
        held[0][:] = genuine.replace(b"genuine", b"changed")
        held[0][:] = genuine

    assert "no identity issued" in await probe.run(FETCH)


@pytest.mark.parametrize("name", ["runpy.py", "__main__.py", "agents/reader/helper.py"])
async def test_a_copy_that_was_touched_while_it_was_being_made_is_not_run(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def planted(folder: Path) -> dict[str, Stamp]:
        (folder / name).write_text("raise SystemExit")
        return stamps(folder)

    monkeypatch.setattr(stage, "stamps", planted)

    with pytest.raises(LaunchError, match=r"touched while it was being made|not as registry\.lock approves"):
        await authority.probe()


# The lock


async def started(authority: Authority) -> bool:
    """Whether the reader is launched."""
    try:
        return await (await authority.probe()).run("answer = True") is True
    except LaunchError:
        return False


async def test_another_lock_counts_once_the_registry_goes_by_it(authority: Authority) -> None:
    authority.site.helper.write_text("value = 'newer'\n")
    before = lying(authority.site)
    authority.site.approve()
    assert not await started(authority)

    for read_from in ({}, before, {REGISTRY: before[REGISTRY]}, lying(authority.site) | {LOCK: "0" * 64}):
        authority._use(read_from)
        assert not await started(authority)

    authority._use(lying(authority.site))
    assert await started(authority)


async def test_a_lock_that_is_changed_while_the_registry_reads_counts_for_nobody(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a look at it and reading it, there is time to write."""
    authority.site.helper.write_text("value = 'newer'\n")
    with (authority.site.root / LOCK).open("a") as file:
        file.write("\n")
    read_from, look = lying(authority.site), authority._registry_files.was_reloaded

    def then_changed(read_from: Mapping[str, str]) -> bool:
        found = look(read_from)
        authority.site.approve()
        return found

    monkeypatch.setattr(authority._registry_files, "was_reloaded", then_changed)
    authority._use(read_from)

    assert not await started(authority)


@pytest.mark.parametrize("instead", ["nothing", "a folder"])
async def test_a_lock_that_is_gone_again_is_no_end_of_the_authority(authority: Authority, instead: str) -> None:
    before = authority._launcher.lock
    with (authority.site.root / LOCK).open("a") as file:
        file.write("\n")
    read_from = lying(authority.site)
    (authority.site.root / LOCK).unlink()
    if instead == "a folder":
        (authority.site.root / LOCK).mkdir()

    authority._use(read_from)

    assert authority._launcher.lock is before


async def test_drift_is_noticed_where_there_is_no_room_to_log_it(authority: Authority, probe: Probe) -> None:
    await probe.run("answer = 0")
    helper = authority.site.helper
    genuine = helper.read_text()
    log = authority.site.run_dir / "logs/authority-attestation.log"
    log.unlink()
    log.symlink_to("/dev/full")

    helper.write_text("changed")
    await noticed(authority, "helper.py")
    helper.write_text(genuine)
    await restored(authority)


async def test_what_cannot_be_watched_does_not_run(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "cannot be watched")

    monkeypatch.setattr(authority._drift._watch, "folder", full)

    with pytest.raises(LaunchError, match=r"agent/reader: .*cannot be watched"):
        await authority.probe()
    await until(lambda: authority.running == [])


async def test_who_has_ended_is_not_drifting(authority: Authority, probe: Probe) -> None:
    await probe.run("answer = 0")
    authority.site.helper.write_text("changed")
    await noticed(authority, "helper.py")

    probe.launched.process.kill()

    await restored(authority)


# The environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small environment of its own, with an interpreter that can be replaced."""
    prefix = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--copies", "--without-pip", prefix], check=True)  # noqa: S603
    mine = next((prefix / "lib").glob("python*/site-packages"))
    packages = Path(pytest.__file__).parents[1]
    for name in PACKAGES:
        for found in packages.glob(f"{name}*"):
            if found.is_dir() and found.name == name:
                shutil.copytree(found, mine / name)
            elif found.is_file():
                shutil.copy2(found, mine)
    elsewhere, python = prefix.parent / "elsewhere", prefix / "bin/python"
    elsewhere.mkdir()
    (elsewhere / "python").symlink_to("python-itself")  # as most environments have it: a link, and not the only one
    python.rename(elsewhere / "python-itself")
    python.symlink_to(elsewhere / "python")
    command = [str(python), "-m", "registration.pin"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)  # noqa: S603
    return prefix


@pytest.fixture
def packages(installed: Path) -> Path:
    return next((installed / "lib").glob("python*/site-packages"))


@pytest.fixture
async def alone(site: Site, installed: Path) -> AsyncIterator[Authority]:
    async with site.authority(environment=installed) as authority:
        yield authority


async def test_a_launched_process_loads_what_was_installed_and_no_bytecode_beside_it(
    alone: Authority, installed: Path
) -> None:
    probe = await alone.probe()

    found = await probe.run(
        "import sys, spiffe; answer = [spiffe.__file__, spiffe.__cached__, sys.flags.dont_write_bytecode]"
    )

    assert found[0].startswith(str(installed / "lib"))
    assert found[1].startswith(str(installed / "bytecode"))
    assert Path(found[1]).exists()
    assert found[2] == 1


@pytest.mark.parametrize(
    "name",
    [
        "planted.pth",
        "sitecustomize.py",
        "planted.pyc",
        "jwt/api_jwt.py",
        "bin/python",
        "pyvenv.cfg",
        "bin/pyvenv.cfg",
        "bin/python._pth",
        "bytecode/x.pyc",
    ],
)
async def test_whatever_changes_in_the_environment_is_drift_of_all_and_undone_when_it_is_put_back(
    alone: Authority, installed: Path, packages: Path, name: str
) -> None:
    probe = await alone.probe()
    assert (await probe.run(FETCH)).count(".") == 2
    path = (installed if name.startswith(("bin", "pyvenv", "bytecode")) else packages) / name
    kept = alone.site.place / "kept"
    if path.exists():
        shutil.copy2(path, kept)
        path.rename(alone.site.place / "aside")

    path.write_text("# changed")

    await noticed(alone, str(path))
    assert "no identity issued" in await probe.run(FETCH)
    with pytest.raises(LaunchError, match=f"the environment is not as installed: .*{name}"):
        await alone.probe(party="agent/writer")
    path.unlink()
    if kept.exists():
        shutil.move(alone.site.place / "aside", path)
    await restored(alone)
    assert (await probe.run(FETCH)).count(".") == 2


@pytest.mark.parametrize("name", ["python", "python-itself"])
async def test_an_interpreter_is_watched_wherever_its_links_lead(alone: Authority, installed: Path, name: str) -> None:
    probe = await alone.probe()
    path = installed.parent / "elsewhere" / name
    path.rename(alone.site.place / "aside")

    shutil.copy2(sys.executable, path)
    with path.open("ab") as file:
        file.write(b"changed")

    async with asyncio.timeout(5):
        while str(path) not in str(alone.drifted):
            await asyncio.sleep(0.01)
    assert "no identity issued" in await probe.run(FETCH)
    path.unlink()
    (alone.site.place / "aside").rename(path)
    await restored(alone)


async def test_an_environment_that_cannot_be_measured_at_all_is_drift_until_it_can_be(
    alone: Authority, packages: Path
) -> None:
    await (await alone.probe()).run("answer = 0")
    os.mkfifo(packages / "pipe")
    await noticed(alone, "pipe: neither a file nor a folder")
    (packages / "planted.pth").touch()

    (packages / "pipe").unlink()
    await noticed(alone, "planted.pth")

    (packages / "planted.pth").unlink()
    await restored(alone)


async def test_nothing_starts_in_an_environment_that_has_changed(site: Site, installed: Path, packages: Path) -> None:
    (packages / "planted.pth").touch()
    try:
        with pytest.raises(LaunchError, match=r"planted\.pth.*`make` installs it again"):
            async with site.authority(environment=installed):
                pass
    finally:
        (packages / "planted.pth").unlink()


@pytest.mark.parametrize("content", [None, "", "{}"])
async def test_nothing_starts_without_a_pin(site: Site, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / PIN).write_text(content)

    with pytest.raises(LaunchError, match=r"environment\.json: .*`make` installs it again"):
        async with site.authority(environment=tmp_path):
            pass


async def test_a_change_that_the_kernel_says_nothing_of_is_found_before_the_next_certificate(
    alone: Authority, packages: Path
) -> None:
    """As a write through another hard link would be."""
    probe = await alone.probe()
    await probe.run("answer = 0")
    genuine = (packages / "yaml/loader.py").read_text()
    (alone.site.place / "link").hardlink_to(packages / "yaml/loader.py")
    await restored(alone)
    await asyncio.sleep(0.2)

    (alone.site.place / "link").write_text("# changed")

    assert "no identity issued" in await probe.run(FETCH_X509)
    (alone.site.place / "link").write_text(genuine)
    assert "agent/reader" in await probe.run(FETCH_X509)
