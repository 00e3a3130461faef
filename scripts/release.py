"""Signs a release, and verifies that a tree has the signed files and no others.  `docs/release.md` says how to use it.

    python3 -I scripts/release.py sign KEY
    python3 -I scripts/release.py verify SIGNERS [--signer NAME] [--tree FOLDER]

It needs the standard library, ssh-keygen and, to sign, git, because it runs before anything else of a tree is trusted.
"""

import argparse
import hashlib
import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST, SIGNATURE = "release", "release.sig"
NAMESPACE = "release"
SIGNER = "release@example.com"
NOT_SIGNED = {
    ".git": "history and settings of git, from which nothing is started",
    ".venv": "removed, and made again from the signed requirements.lock",
    ".ogx": "removed, and made again from the signed requirements.ogx.lock when a Llama Stack server is next started",
    ".notebooks": "removed, and made again from the signed requirements.notebooks.lock when notebooks are next run",
    "run": "output of earlier runs; Keycloak is built and imports the realm again, and `UNSIGNED` is put aside",
    LIST: "the list that is signed",
    SIGNATURE: "its signature",
}
"""Unsigned files and folders that a tree may have, at its top, and why."""
UNSIGNED = (("authority-policy",), ("authority-registry", "policy.json"))
"""Ends of paths in `run`: what decides which policies are in force, which is all data of the policy authority, and the
last version that the registry took."""
_SHOWN = 10


class ReleaseError(Exception):
    """A tree cannot be signed, or is not as it was signed.  The text says why, and what to do."""


def listed(tree: Path) -> dict[str, str]:
    """Return all files of a tree except `NOT_SIGNED`: SHA-256 in hex, by path.

    A link, a pipe and the like get the text "not a file" instead of a digest, which no signed list contains.
    """
    return {str(path.relative_to(tree)): _digest(path) for path in _walk(tree) if path != tree}


def _walk(folder: Path, *, top: bool = True) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if top and entry.name in NOT_SIGNED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), top=False)
        else:
            yield Path(entry.path)


def _digest(path: Path) -> str:
    if not stat.S_ISREG(path.lstat().st_mode):
        return "not a file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_text(files: Mapping[str, str]) -> str:
    """Return the list in the form that is signed and that `sha256sum --check` reads.  Raises `ReleaseError`."""
    for path, digest in files.items():
        if len(digest) != 64 or not path.isprintable() or "\\" in path:
            raise ReleaseError(f"{path!r} cannot be in a release: {digest}.")
    return "".join(f"{files[path]}  {path}\n" for path in sorted(files))


def parsed(text: str) -> dict[str, str]:
    """Return the digests of a list, by path.  Raises `ReleaseError`, also if a path is listed twice."""
    *lines, end = [line.partition("  ") for line in text.split("\n")]
    digests = {path: digest for digest, _, path in lines}
    wrong = any(len(digest) != 64 or not path or not path.isprintable() for path, digest in digests.items())
    if not lines or any(end) or wrong:
        raise ReleaseError(f"{LIST} is not a list of digests and printable paths.")
    if len(digests) != len(lines):
        raise ReleaseError(f"{LIST} lists a path twice.")
    return digests


def differences(signed: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each file that is changed, missing or not signed.  Pure."""
    return [  # control: released-files-only
        f"{_printable(path)}: {'not signed' if path not in signed else 'missing' if path not in found else 'changed'}"
        for path in sorted(signed.keys() | found.keys())
        if signed.get(path) != found.get(path)  # control: released-files-unchanged
    ]


def _printable(path: str) -> str:
    """Return a path without terminal control characters, because a name can be any bytes."""
    return path.encode("unicode_escape", "surrogateescape").decode()


def sign(tree: Path, key: Path) -> None:
    """Write list and signature.  Raises `ReleaseError` if the tree has uncommitted changes, or ssh-keygen fails."""
    status = ["git", "-C", str(tree), "status", "--porcelain", "--untracked-files=all"]
    if changed := _output(status).strip():
        raise ReleaseError(f"These files are not committed:\n{changed}\nCommit or remove them.")
    names = _output(["git", "-C", str(tree), "ls-files", "-z"]).split("\0")
    text = as_text({name: _digest(tree / name) for name in names if name})
    signature = _output(["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE], text.encode())
    (tree / LIST).write_bytes(text.encode())  # only now, so that an older release stays intact if signing fails
    (tree / SIGNATURE).write_text(signature)


def verify(tree: Path, signers: Path, signer: str) -> int:
    """Return the number of signed files, if the tree has exactly these, unchanged.  Raises `ReleaseError` otherwise."""
    if not signers.exists():
        raise ReleaseError(f"There is no {signers}: SIGNERS is the file of the trusted signers.")
    if signers.resolve().is_relative_to(tree.resolve()):
        raise ReleaseError(f"{signers} is in the tree to verify, so whoever changed the tree could change it too.")
    if links := _links(tree):
        link = _printable(str(links[0]))
        raise ReleaseError(f"{link} is a symbolic link, whose target would be used without being verified: remove it.")
    try:
        text = (tree / LIST).read_bytes()
    except OSError as error:
        raise ReleaseError(f"There is no {LIST} in {tree}: put {LIST} and {SIGNATURE} of the release there.") from error
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", signer, "-n", NAMESPACE]
    no_signature = f"{SIGNATURE} is not a signature of this list by {signer} with a key in {signers}.\n"
    _output([*command, "-s", str(tree / SIGNATURE)], text, otherwise=no_signature)  # control: release-signature
    if wrong := differences(signed := parsed(text.decode(errors="surrogateescape")), listed(tree)):
        more = f"\n... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ReleaseError(
            "The signature is valid, but these files are not as signed:\n" + "\n".join(wrong[:_SHOWN]) + more + "\n"
            "Restore them.  `git clean -xdf -e .venv -e .ogx -e .notebooks -e run -e release -e release.sig` removes "
            "files that git does not have."
        )
    return len(signed)


def _links(tree: Path) -> list[Path]:
    """Return the links among the folders that are made again, and in `run` outside Keycloak's folder."""
    run = tree / "run"
    inside = _walk(run, top=False) if run.is_dir() and not run.is_symlink() else ()
    mine = (path for path in inside if "keycloak" not in path.relative_to(run).parts[:-1])
    return [path for path in (tree / ".venv", tree / ".ogx", tree / ".notebooks", run, *mine) if path.is_symlink()]


def put_aside(tree: Path) -> list[Path]:
    """Move `UNSIGNED`, wherever it is in `run`, into new folders beside it.  Return the new paths.

    Raises `OSError` if a folder cannot be read or something cannot be moved.
    """
    moved = []
    for folder, *names in os.walk(tree / "run", topdown=False, onerror=_raised):
        for path in (Path(folder, name) for name in itertools.chain(*names)):
            ends = tuple(part.casefold() for part in path.parts)  # some file systems know one name in any case
            if any(ends[-len(end) :] == end for end in UNSIGNED):
                free = (path.with_name(f"unsigned-{number}") for number in itertools.count(1))
                place = next(name for name in free if not os.path.lexists(name))
                place.mkdir(mode=0o700)
                moved.append(path.rename(place / path.name))
    return moved


def _raised(error: OSError) -> None:
    raise error


def _output(command: list[str], given: bytes = b"", *, otherwise: str = "") -> str:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603 - built above
    except OSError as error:
        raise ReleaseError(f"`{command[0]}` cannot be run: {error}.") from error
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise ReleaseError(f"{otherwise}`{' '.join(command[:3])}` failed: {said}")
    return done.stdout.decode(errors="surrogateescape")  # a name in git can be any bytes


def main() -> None:
    """Sign or verify; exit with a message if that fails."""
    parser = argparse.ArgumentParser(description="Sign a release, or verify one.")
    commands = parser.add_subparsers(dest="command", required=True)
    signing, verifying = commands.add_parser("sign"), commands.add_parser("verify")
    signing.add_argument("key", type=Path, help="the private key, as ssh-keygen makes it")
    verifying.add_argument("signers", type=Path, help="the trusted signers (ssh-keygen(1), ALLOWED SIGNERS)")
    verifying.add_argument("--signer", default=SIGNER, help="the one of them that must have signed")
    for command in signing, verifying:
        command.add_argument("--tree", type=Path, default=ROOT, help="by default the one that contains this script")
    arguments = parser.parse_args()
    try:
        if arguments.command == "sign":
            sign(arguments.tree, arguments.key)
            print(f"Signed: {LIST} and {SIGNATURE} go with the release.")
        else:
            count = verify(arguments.tree, arguments.signers, arguments.signer)
            print(f"{count} files, exactly as {arguments.signer} signed them.")
            for path in put_aside(arguments.tree):
                print(f"Put aside, for nobody signed it: {_printable(str(path))} (docs/release.md)")
    except (ReleaseError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
