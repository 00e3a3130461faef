"""Finds Keycloak's distribution on this machine, or fetches it once.  All functions block."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import httpx

from start.cache import atomic_path, cache_folder, check_cache, holds, run
from start.errors import KeycloakError
from start.progress import Say

VERSION = "26.7.5"
"""The version that is tested.  From 26.8 on, Keycloak refuses to exchange a token that carries `act`."""

SHA256 = "30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a"
"""The distribution's zip, wherever it comes from."""

RUN = ("lib", "conf")
"""The folders of the distribution from which something is run or read."""

RUN_SHA256 = "0f3a775c3694ae691a5a0226945acd2342cbeeb9b6cb617ec8b171d2c6e3fa0d"
"""Over all files in `RUN`, as in that zip (`digest_of`): each start compares the unpacked files with it."""

MAVEN_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
DOWNLOAD = f"https://github.com/keycloak/keycloak/releases/download/{VERSION}/keycloak-{VERSION}.zip"


def find_distribution(say: Say) -> Path:
    """Return the folder of Keycloak's distribution.

    Looks at `KEYCLOAK_HOME`, then in the cache, and last fetches it: with Maven where there is one, else as the
    official download.  A distribution that was changed is fetched again, or refused if it is the user's own.
    Raises `KeycloakError`.
    """
    if home := os.environ.get("KEYCLOAK_HOME"):
        return _users_distribution(Path(home))
    target = cache_folder() / f"keycloak-{VERSION}"
    if matches_release(target):
        return target
    if target.exists():
        say(f"{target} is not Keycloak {VERSION} as it was released: it is removed, and fetched again")
        shutil.rmtree(target)
    check_cache()
    failures = []
    for fetch in [_fetch_with_maven, _download] if shutil.which("mvn") else [_download]:
        try:
            with atomic_path(target) as unfinished:
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


def _users_distribution(home: Path) -> Path:
    try:
        version = (home / "version.txt").read_text().strip().removeprefix("Keycloak - Version ")
    except OSError as error:
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is not a Keycloak distribution: it has no version.txt. Correct or unset it."
        ) from error
    if version != VERSION:
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is Keycloak {version}, but this project needs exactly {VERSION}: unset it."
        )
    if not matches_release(home):
        raise KeycloakError(
            f"KEYCLOAK_HOME={home} is not Keycloak {VERSION} as it was released: something in its folders "
            f"{' or '.join(RUN)} was changed, added or built.  Unpack it again, or unset KEYCLOAK_HOME."
        )
    return home


def matches_release(distribution: Path) -> bool:
    """Return whether the files that are run of an unpacked distribution are those of the released zip."""
    return holds(distribution, RUN, RUN_SHA256)


def _fetch_with_maven(archive: Path, say: Say) -> None:
    say(f"Fetching Keycloak {VERSION} with Maven (175 MB, once)")
    options = [f"-Dartifact={MAVEN_ARTIFACT}", f"-DoutputDirectory={archive.parent}"]
    run(["mvn", "-q", "-B", "dependency:copy", *options])
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
