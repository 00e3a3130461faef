"""Starting and ending Keycloak, as far as a script in Java's place can show it; the rest is in `tests/e2e`."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypedDict

import pytest

from lab.realm import LAB_SCRIPT
from registration.realm import to_json
from registration.realm.script import SCRIPT
from start import child
from start.errors import KeycloakError
from start.keycloak import server as module
from start.keycloak.distribution import VERSION
from start.keycloak.instance import BUILT, Instance
from start.keycloak.options import IDLE, LOG_SIZE, LOGS_KEPT, MAX_BODY, MAX_CONNECTIONS, PATIENCE, THREADS
from start.keycloak.server import Keycloak
from start.program import FOLDER
from tests.support.system import registry

ROOT = Path(__file__).parents[2]


class Readable:
    """In the place of `Interpreter`: a script, which its shell has to read."""

    copied: ClassVar[list[str]] = []

    def __init__(self, path: str) -> None:
        self.copied.append(path)
        self.path, self.env, self.fd = path, {"LD_LIBRARY_PATH": "/found"}, os.open(path, os.O_RDONLY)

    def close(self) -> None:
        os.close(self.fd)


class Files(TypedDict):
    realm: str
    truststore: Path
    certificate: Path
    key: Path


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """As much of Keycloak's folder as an instance is made from."""
    folder = tmp_path / f"keycloak-{VERSION}"
    for name in ("lib/lib", "lib/app", "lib/quarkus", "conf"):
        (folder / name).mkdir(parents=True)
    (folder / "lib" / "quarkus-run.jar").touch()
    (folder / "lib" / "quarkus" / "build").write_text("not built")
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The CA, the certificate and the key, as far as nobody reads them."""
    found = [tmp_path / name for name in ("ca.pem", "server.pem", "key.pem")]
    for file in found:
        file.touch(mode=0o600)
    return Files(realm=to_json(registry()), truststore=found[0], certificate=found[1], key=found[2])


@pytest.fixture
def keycloak(tmp_path: Path, files: Files) -> Keycloak:
    return Keycloak(tmp_path / "run", **files, say=lambda _: None)


@dataclass
class Java:
    """Puts a script where Java would be, and leaves the machine's ports out of it: a real Keycloak may be running."""

    monkeypatch: pytest.MonkeyPatch
    folder: Path
    distribution: Path
    keycloak: Keycloak

    def runs(self, body: str) -> None:
        """Have this shell script run in Java's place."""
        script = self.folder / "java"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        self.monkeypatch.setattr(module, "find_java", lambda _: script)
        self.monkeypatch.setattr(module, "find_distribution", lambda _: self.distribution)
        self.monkeypatch.setattr(module, "Interpreter", Readable)
        self.monkeypatch.setattr(module, "check_port", lambda _: None)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.monkeypatch.setattr(module, "HEALTH_PORT", free.getsockname()[1])

    async def fails(self, body: str, match: str | None = None) -> pytest.ExceptionInfo[KeycloakError]:
        """Start Keycloak, whose Java ends; return what is raised."""
        self.runs(body)
        with pytest.raises(KeycloakError, match=match) as failed:
            await self.keycloak.__aenter__()
        return failed

    async def arguments(self) -> list[str]:
        """Return the arguments that Java is started with."""
        await self.fails("""printf '%s\n' "$@"; exit 1""")
        return self.keycloak.log.read_text().splitlines()


@pytest.fixture
def java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, distribution: Path, keycloak: Keycloak) -> Java:
    return Java(monkeypatch, tmp_path, distribution, keycloak)


# --- why it does not start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
async def test_a_key_that_others_may_read_is_not_used(java: Java, keycloak: Keycloak, files: Files, mode: int) -> None:
    files["key"].chmod(mode)

    await java.fails("exit 1", rf"others may read Keycloak's key \(mode {mode:o}\): delete it")

    assert not keycloak.log.exists()


async def test_keycloak_writes_a_log_that_has_an_end(java: Java, keycloak: Keycloak) -> None:
    assert {*await java.arguments()} >= {
        "--log=file",
        f"--log-file={keycloak.log}",
        f"-Dquarkus.log.file.rotation.max-file-size={LOG_SIZE}",
        f"-Dquarkus.log.file.rotation.max-backup-index={LOGS_KEPT}",
    }


async def test_keycloak_is_told_what_a_stranger_may_cost(java: Java) -> None:
    assert THREADS > MAX_CONNECTIONS
    assert {*await java.arguments()} >= {
        f"--http-pool-max-threads={THREADS}",
        f"--db-pool-max-size={THREADS}",
        f"-Dquarkus.http.limits.max-connections={MAX_CONNECTIONS}",
        f"-Dquarkus.http.limits.max-body-size={MAX_BODY}",
        f"-Dquarkus.http.read-timeout={PATIENCE}s",
        f"-Dquarkus.http.idle-timeout={IDLE}s",
        "-Dquarkus.http.http2=false",
    }


async def test_keycloak_finds_itself_and_whom_it_tells_of_logouts_and_nobody_else(java: Java) -> None:
    [option] = [line for line in await java.arguments() if line.startswith("-Djdk.net.hosts.file=")]
    address, *names = Path(option.partition("=")[2]).read_text().split()
    parties = {f"{name}.authority.agents.example" for name in ("registry", "attestation")}
    assert address == "127.0.0.1"
    assert set(names) == {"localhost", "console.localhost", socket.gethostname(), *parties}


@pytest.mark.parametrize(("building", "doing"), [(True, "is being built"), (False, "is starting")])
async def test_a_keycloak_that_does_nothing_is_ended_and_its_finished_build_is_kept(
    java: Java, keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, building: bool, doing: str
) -> None:
    """It does nothing while it is built, or once it is: it is not waited for any longer, and the build is kept."""
    body = f"""case "$*" in *config.built=true*) ;; *) test ! -e {tmp_path}/builds || exit 10;; esac; exec sleep 600"""
    monkeypatch.setattr(child, "IDLE", 2)
    monkeypatch.setattr(child, "WORK", 0.5)
    if not building:
        (tmp_path / "builds").touch()

    failed = await java.fails(body, f"^Keycloak {doing} ")

    assert isinstance(failed.value.__cause__, child.NoProgress)
    assert keycloak._process
    assert await keycloak._process.wait() == -signal.SIGKILL
    keycloak._instance.prepare(java.distribution)
    assert keycloak._instance.built != building


async def test_java_sees_nothing_of_our_environment_that_could_change_keycloak(
    java: Java, keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KC_HOSTNAME", "http://evil.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=y")

    await java.fails("env; exit 1")

    names = {line.partition("=")[0] for line in keycloak.log.read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "LD_LIBRARY_PATH"}


async def test_no_secret_is_in_an_argument_or_a_variable_and_the_build_is_given_none(
    java: Java, keycloak: Keycloak, tmp_path: Path
) -> None:
    """What is secret comes by a descriptor that the process inherits, and the build inherits none."""
    show = """env; printf '%s\n' "$@"; for a; do case "$a" in --config-file=*) f="${a#*=}";; esac; done"""
    body = f"""{show}; case "$*" in *config.built=true*) cat "$f" > {tmp_path}/second; exit 1;; esac
cat "$f" > {tmp_path}/first; exit 10"""

    await java.fails(body)

    said = keycloak.log.read_text()
    assert not [secret for secret in (*keycloak.passwords.values(), keycloak.admin[1]) if secret in said]
    assert (tmp_path / "first").read_text() == ""
    assert (tmp_path / "second").read_text() == (
        f"bootstrap-admin-username=admin\nbootstrap-admin-password={keycloak.admin[1]}\n"
    )


@pytest.mark.parametrize(
    ("works", "others", "disk"), [(1, (), False), (2, (2,), False), (0, (), True), (0, (2,), True)]
)
async def test_what_works_has_as_long_as_it_needs(
    monkeypatch: pytest.MonkeyPatch, works: int, others: tuple[int, ...], disk: bool
) -> None:
    """Ten times as many looks as one that does nothing gets, with just enough work between them.

    Process 1 works, or the one that it waits for, or it waits for the disk.
    """
    done, looks = asyncio.Event(), 0

    def worked(process_id: int) -> float:
        nonlocal looks
        looks += process_id == 1
        if looks == 20:
            done.set()
        return looks * 0.5 * (process_id == works)

    monkeypatch.setattr(child, "_work_time", worked)
    monkeypatch.setattr(child, "_waits_for_disk", lambda _process_id: disk)
    for name, value in {"LOOK": 0.01, "IDLE": 0.02, "WORK": 0.01 if disk else 0.5}.items():
        monkeypatch.setattr(child, name, value)

    assert await child.wait_while_working(1, done.wait(), *others)


# --- it ends with us --------------------------------------------------------------------------------------------------


def test_what_was_started_ends_with_its_parent_even_when_that_is_killed() -> None:
    program = (
        "import os, subprocess; from start.child import end_with; me = os.getpid(); "
        "child = subprocess.Popen(['sleep', '600'], preexec_fn=lambda: end_with(me), start_new_session=True); "
        "print(child.pid, flush=True); child.wait()"
    )
    command = [sys.executable, "-c", program]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - the text above
    assert parent.stdout
    child = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.kill()

        ended, _, _ = select.select([child], [], [], 10)

        assert ended
    finally:
        os.close(child)
        parent.stdout.close()
        parent.wait()


# --- what a second start keeps ----------------------------------------------------------------------------------------


@pytest.fixture
def home(keycloak: Keycloak, distribution: Path) -> Path:
    """The folder of Keycloak, built and sealed."""
    keycloak._instance.prepare(distribution)
    (keycloak._instance.home / BUILT / "build").write_text("built")
    keycloak._instance.seal()
    return keycloak._instance.home


def test_the_realm_is_imported_as_it_is_given_and_the_shared_distribution_stays_as_it_is(
    home: Path, distribution: Path
) -> None:
    assert (home / "data" / "import" / "realm.json").read_text() == to_json(registry())
    assert home.stat().st_mode & 0o077 == 0, "the database holds the realm's signing key"
    assert (distribution / BUILT / "build").read_text() == "not built"


# --- the build of another folder --------------------------------------------------------------------------------------


def test_a_build_is_copied_from_another_folder_and_only_as_it_was_sealed_and_with_these_scripts(
    tmp_path: Path, distribution: Path
) -> None:
    made = Instance(tmp_path / "made", realm="{}", scripts=(SCRIPT,))
    made.prepare(distribution)
    (made.home / BUILT / "build").write_text("built")
    missing = tmp_path / "missing"

    def second(name: str, *scripts: Path) -> tuple[bool, str]:
        instance = Instance(tmp_path / name, realm="{}", scripts=scripts, others=(missing, made.home))
        instance.prepare(distribution)
        return instance.built, (instance.home / BUILT / "build").read_text()

    assert second("before it is sealed", SCRIPT) == (False, "not built")
    made.seal()
    assert second("after", SCRIPT) == (True, "built")
    assert second("after", SCRIPT) == (True, "built")
    assert second("with another script", SCRIPT, LAB_SCRIPT) == (False, "not built")
    (made.home / BUILT / "build").write_text("changed")
    assert second("changed since", SCRIPT) == (False, "not built")
    assert not list(tmp_path.glob("*/copied")) + list(tmp_path.glob("*/kept"))


def test_only_folders_of_this_clone_are_asked_for_a_build(tmp_path: Path, files: Files) -> None:
    ours = (FOLDER / "keycloak", FOLDER / "walkthrough" / "keycloak")
    (FOLDER / "walkthrough").mkdir(parents=True, exist_ok=True)

    assert Keycloak(tmp_path / "run", **files)._instance._others == ()
    assert {*Keycloak(FOLDER / "before", **files)._instance._others} >= {*ours}
    assert ours[1] not in Keycloak(FOLDER / "walkthrough", **files)._instance._others
