"""A release is what was signed, all of it and nothing else; each attack on that is tried."""

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from scripts import release
from scripts.release import LIST, SIGNATURE, SIGNER, ReleaseError, put_aside, sign, verify
from tests.support.signed import FILES, SEAL, UV, Signed, committed, make, new_key, signed, signed_by, signed_project


@pytest.fixture
def whole(tmp_path: Path) -> Signed:
    return signed(tmp_path)


def check(whole: Signed) -> int:
    return verify(whole.tree, whole.signers, SIGNER)


def test_a_tree_as_it_was_signed_is_good_and_so_is_what_may_lie_there_besides(whole: Signed) -> None:
    for folder in (".venv/lib", ".ogx/lib", ".notebooks/lib", "run/data"):
        (whole.tree / folder).mkdir(parents=True)
        (whole.tree / folder / "anything").touch()

    assert check(whole) == len(FILES)


LINKS = [
    *("run", ".venv", ".ogx", ".notebooks", "run/walkthrough", "run/keycloak", "run/a/b/keycloak"),
    *("run/data/authority-policy", "run/walkthrough/data/authority-registry", "run/data/authority-policy/versions"),
    *("run/walkthrough/data", "run/conformance/system"),
]


@pytest.mark.parametrize("link", LINKS)
def test_what_is_made_anew_lies_behind_no_link(whole: Signed, tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (whole.tree / link).parent.mkdir(parents=True, exist_ok=True)
    (whole.tree / link).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ReleaseError, match=f"/{link} is a symbolic link"):
        check(whole)


def test_all_that_says_which_policies_are_in_force_is_put_aside_whatever_else_lies_there(tmp_path: Path) -> None:
    policys, registrys = tmp_path / "run/data/authority-policy", tmp_path / "run/a/b/data/authority-registry"
    for file in ("journal.jsonl", "versions/000002.json", "versions/000002.unsigned/000002.json/x", "versions/x.json"):
        (policys / file).parent.mkdir(parents=True, exist_ok=True)
        (policys / file).touch()
    (tmp_path / "run/data/unsigned-1").touch()
    (tmp_path / "run/data/tool-documents").mkdir()
    registrys.mkdir(parents=True)
    for name in ("policy.json", "kept.json"):
        (registrys / name).touch()

    moved = put_aside(tmp_path)

    assert {*moved} == {tmp_path / "run/data/unsigned-2/authority-policy", registrys / "unsigned-1/policy.json"}
    assert sorted(entry.name for entry in policys.parent.iterdir()) == ["tool-documents", "unsigned-1", "unsigned-2"]
    assert sorted(entry.name for entry in registrys.iterdir()) == ["kept.json", "unsigned-1"]
    assert (tmp_path / "run/data/unsigned-2/authority-policy/versions/000002.json").exists()


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with patch("os.scandir", side_effect=PermissionError), pytest.raises(PermissionError):
        put_aside(tmp_path)


PLANTED = ["typer.py", "GNUmakefile", "demo/__pycache__/__main__.cpython-311.pyc", "zerotrust/gate.so", ".hidden/a"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_file_more_is_named(whole: Signed, name: str) -> None:
    """Also where git would not tell of it."""
    (whole.tree / ".git" / "info" / "exclude").write_text("*\n")
    (whole.tree / name).parent.mkdir(exist_ok=True)
    (whole.tree / name).touch()

    with pytest.raises(ReleaseError, match=rf"(?m)^{name}: not signed$"):
        check(whole)


def _link(tree: Path) -> None:
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere").rmdir()
    content = tree.parent / "content"
    shutil.move(tree / "zerotrust/gate.py", content)
    (tree / "zerotrust/gate.py").symlink_to(content)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tree: (tree / "zerotrust/gate.py").write_text("no = False"), "zerotrust/gate.py: changed"),
        (lambda tree: (tree / "zerotrust/gate.py").unlink(), "zerotrust/gate.py: missing"),
        (_link, "zerotrust/gate.py: changed"),
        (lambda tree: (tree / "tools").symlink_to("/tmp"), "tools: not signed"),  # noqa: S108
        (lambda tree: (tree / "\x1b[2J").touch(), r"\x1b[2J: not signed"),
    ],
    ids=["changed", "missing", "a link to the same content", "a link to a folder", "a name that a terminal would obey"],
)
def test_what_is_not_as_it_was_signed_is_named(whole: Signed, change: Callable[[Path], object], told: str) -> None:
    change(whole.tree)

    with pytest.raises(ReleaseError) as refused:
        check(whole)

    assert told in str(refused.value).splitlines()
    assert "\x1b" not in str(refused.value)


def test_whoever_changes_the_list_as_well_has_no_signature_for_it(whole: Signed) -> None:
    (whole.tree / "typer.py").touch()
    files = release.listed(whole.tree)
    (whole.tree / LIST).write_text(release.as_text(files))

    with pytest.raises(ReleaseError, match="failed: Signature verification failed"):
        check(whole)


def test_another_key_does_not_sign(whole: Signed, tmp_path: Path) -> None:
    sign(whole.tree, new_key(tmp_path / "other"))

    with pytest.raises(ReleaseError, match="failed: Could not verify signature"):
        check(whole)


def test_a_signature_for_something_else_and_one_of_another_person_are_none(whole: Signed) -> None:
    with pytest.raises(ReleaseError, match=r"is not a signature of this list by somebody@example.com with a key in "):
        verify(whole.tree, whole.signers, "somebody@example.com")

    signed_by(whole.key, whole.tree, "file")
    with pytest.raises(ReleaseError, match="failed: "):
        check(whole)


@pytest.mark.parametrize(
    ("missing", "told"), [(LIST, "put release and release.sig of the release"), (SIGNATURE, "read signature file")]
)
def test_what_was_never_signed_is_not_verified(whole: Signed, missing: str, told: str) -> None:
    (whole.tree / missing).unlink()

    with pytest.raises(ReleaseError, match=told):
        check(whole)


def test_a_file_of_signers_that_is_missing_is_named_and_nothing_else(whole: Signed) -> None:
    whole.signers.unlink()

    with pytest.raises(ReleaseError, match=f"^There is no {whole.signers}: SIGNERS is the file of the trusted signers"):
        check(whole)


def test_the_tree_does_not_say_itself_whose_signature_is_good(whole: Signed) -> None:
    inside = whole.tree / "run" / "signers"
    inside.parent.mkdir()
    shutil.copy(whole.signers, inside)

    with pytest.raises(ReleaseError, match="is in the tree to verify"):
        verify(whole.tree, inside, SIGNER)


def test_a_key_that_does_not_sign_leaves_the_release_that_is_there(whole: Signed, tmp_path: Path) -> None:
    (tmp_path / "no-key").write_text("x")
    for key in (tmp_path / "nowhere", tmp_path / "no-key"):
        with pytest.raises(ReleaseError, match="`ssh-keygen -Y sign` failed: "):
            sign(whole.tree, key)

    assert check(whole) == len(FILES)


@pytest.mark.parametrize("name", ["zerotrust/gate.py", "new.py"])
def test_only_what_is_committed_is_signed(whole: Signed, name: str) -> None:
    sign(whole.tree, whole.key)
    (whole.tree / name).write_text("new")

    with pytest.raises(ReleaseError, match=f"These files are not committed:\n.*{name}"):
        sign(whole.tree, whole.key)


DIGEST = "0" * 64
BREAKS = [*"\n\r\f\v\x1c\x1d\x1e\x85\u2028\x1b", "\udcff"]


@pytest.mark.parametrize("character", BREAKS)
def test_a_name_that_cannot_be_printed_is_neither_signed_nor_verified(character: str) -> None:
    name = f"a{character}{DIGEST}  b"
    with pytest.raises(ReleaseError, match="cannot be in a release"):
        release.as_text({name: DIGEST})
    if character != "\n":
        with pytest.raises(ReleaseError, match="not a list of digests and printable paths"):
            release.parsed(f"{DIGEST}  {name}\n")


def test_a_committed_name_of_any_bytes_is_refused_in_a_sentence(whole: Signed) -> None:
    (whole.tree / "a\udcff").touch()
    committed(whole.tree)

    with pytest.raises(ReleaseError, match="cannot be in a release"):
        sign(whole.tree, whole.key)


def test_a_list_names_each_path_once_and_is_whole() -> None:
    line = f"{DIGEST}  a\n"
    assert release.parsed(line) == {"a": DIGEST}
    with pytest.raises(ReleaseError, match="lists a path twice"):
        release.parsed(f"{line}{'1' * 64}  a\n")
    for text in ("", line.rstrip(), f"{line}\n", f"{DIGEST[1:]}  a\n"):
        with pytest.raises(ReleaseError, match="not a list of digests"):
            release.parsed(text)


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Signed:
    return signed_project(tmp_path)


def test_verifying_makes_anew_what_is_not_signed(project: Signed) -> None:
    policys, registrys = (project.tree / "run" / "data" / f"authority-{name}" for name in ("policy", "registry"))
    (policys / "versions").mkdir(parents=True)
    (policys / "versions" / "000002.json").touch()
    registrys.mkdir()
    (registrys / "policy.json").touch()
    for environment in (".ogx", ".notebooks"):
        (project.tree / environment).mkdir()
    (project.tree / "run" / "data" / SEAL).touch()

    status, said, notes = make(project, "verify-release", f"SIGNERS={project.signers}")

    assert status == 0, said
    assert f"files, exactly as {SIGNER} signed them." in said
    assert not (project.tree / ".venv" / "lib").exists()
    assert not (project.tree / ".ogx").exists()
    assert not (project.tree / ".notebooks").exists()
    assert not policys.exists()
    assert [entry.name for entry in registrys.iterdir()] == ["unsigned-1"]
    left = list((project.tree / "run").rglob(SEAL))
    assert left == [project.tree / "run" / "data" / SEAL]  # a party's, not Keycloak's
    venv, sync, pinned = notes.splitlines()
    assert venv.startswith("1  venv ")  # past every cache
    assert sync == "1 copy pip sync -q --require-hashes --python .venv/bin/python requirements.lock"
    assert pinned.endswith("scripts/run.py authorities.attestation.local.environment")


def test_while_packages_are_fetched_it_is_said_again_and_again_that_it_goes_on(project: Signed) -> None:
    """Here `sleep` takes no time, and fetching ends once that was said three times; or it ends, and it was not."""
    place = project.tree.parent
    count = f'n=$(cat {place}/slept 2>/dev/null || echo 0); echo $((n + 1)) > {place}/slept; [ "$n" -lt 5 ]'
    (place / "sleep").write_text(f"#!/bin/sh\n{count}\n")
    wait = f'for i in $(seq 1500); do [ "$(cat {place}/slept 2>/dev/null)" = 6 ] && break; /bin/sleep 0.02; done'
    (place / "uv").write_text(f'{UV}\ncase "$*" in "pip sync"*) {wait};; esac\n')
    for name in "sleep", "uv":
        (place / name).chmod(0o755)

    status, said, _ = make(project, "verify-release", f"SIGNERS={project.signers}")

    assert status == 0, said
    lines = [line for line in said.splitlines() if line.endswith(" s so far")]
    assert lines == [f"Packages are fetched and installed: {seconds} s so far" for seconds in (2, 4, 8)]


def test_where_it_fails_nothing_is_made_or_run(project: Signed) -> None:
    (project.tree / "typer.py").touch()

    status, said, notes = make(project, "verify-release", f"SIGNERS={project.signers}")

    assert status
    assert "typer.py: not signed" in said
    assert notes == ""
    assert (project.tree / ".venv" / "ready").exists()


def test_who_does_not_say_whose_signature_or_key_is_told(project: Signed) -> None:
    for target in ("verify-release", "release"):
        status, said, notes = make(project, target)
        assert (bool(status), notes) == (True, "")
        assert f"make {target} " in said


def test_a_release_is_signed_by_a_command(project: Signed) -> None:
    (project.tree / LIST).unlink()
    (project.tree / SIGNATURE).unlink()

    status, said, _ = make(project, "release", f"KEY={project.key}")

    assert status == 0, said
    assert check(project) > 200
