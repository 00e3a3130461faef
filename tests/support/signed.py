"""A small tree that was signed as a release, and whoever may have signed it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.project_copy import LEFT_OUT
from scripts.release import LIST, NAMESPACE, SIGNATURE, SIGNER, sign
from tests.support.planted import ROOT

PACKAGE = ".venv/lib/python3/site-packages/httpx.py"
FILES = {
    ".gitignore": "/release\n/release.sig\n",
    "Makefile": "demo:\n",
    "demo/__main__.py": "import typer\n",
    "zerotrust/gate.py": "no = True\n",
}
SEAL = "build.seal"
"""What has Keycloak go on with an earlier build."""
GIT = ("git", "-c", "user.name=releaser", "-c", f"user.email={SIGNER}", "-c", "init.defaultBranch=main")


@dataclass(frozen=True)
class Signed:
    """A signed tree, and the file that says whose signature is good, which lies elsewhere."""

    tree: Path
    signers: Path
    key: Path


def new_key(path: Path) -> Path:
    """Make a key that can sign."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)  # noqa: S603
    return path


def signed_by(key: Path, tree: Path, namespace: str = NAMESPACE) -> None:
    """Sign the list that lies in a tree, whatever is in it."""
    (tree / SIGNATURE).unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", namespace, str(tree / LIST)]
    subprocess.run(command, check=True)  # noqa: S603


def committed(tree: Path) -> None:
    """Commit all that lies there."""
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "release"]):
        subprocess.run([*GIT, "-C", str(tree), *words], check=True)  # noqa: S603


def signed(place: Path, files: dict[str, str] | None = None) -> Signed:
    """Make a tree, a key and a signature.  `files`: content by path; None takes what lies there."""
    tree, key = place / "tree", new_key(place / "key")
    for name, content in (FILES if files is None else files).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    committed(tree)
    sign(tree, key)
    signers = place / "signers"
    signers.write_text(f"{SIGNER} {key.with_suffix('.pub').read_text()}")
    return Signed(tree, signers, key)


# Makes an environment of stand-ins, and notes how it was asked to.
UV = """#!/bin/sh
echo "$UV_NO_CACHE $UV_LINK_MODE $*" >> "$NOTES"
mkdir -p .venv/bin && printf '#!/bin/sh\necho "$@" >> "$NOTES"\n' > .venv/bin/python && chmod +x .venv/bin/python
"""


def signed_project(place: Path) -> Signed:
    """This project, signed, with a package in its environment that somebody changed, and pinned again."""
    left_out = lambda folder, _: LEFT_OUT if Path(folder) == ROOT else {"__pycache__"}  # noqa: E731
    shutil.copytree(ROOT, place / "tree", ignore=left_out)
    for name in (LIST, SIGNATURE):
        (place / "tree" / name).unlink(missing_ok=True)
    project = signed(place, {})
    folders = ("run", "run/walkthrough", "run/conformance/system")
    seals = [f"{folder}/keycloak/{SEAL}" for folder in folders]
    for name in (PACKAGE, ".venv/environment.json", *seals):
        (project.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (project.tree / name).write_text("changed")
    (project.tree / ".venv" / "ready").touch()
    (place / "uv").write_text(UV)
    (place / "uv").chmod(0o755)
    return project


def make(project: Signed, *words: str) -> tuple[int, str, str]:
    """Run make there, with a `uv` that fetches nothing; returns how that was asked for packages, too."""
    notes = project.tree.parent / "notes"
    env = {"PATH": f"{notes.parent}:/usr/bin:/bin", "NOTES": str(notes), "HOME": str(notes.parent)}
    done = subprocess.run(["make", *words], cwd=project.tree, env=env, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.returncode, done.stdout + done.stderr, notes.read_text() if notes.exists() else ""
