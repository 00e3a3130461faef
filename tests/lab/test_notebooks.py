"""The notebooks: how they are read, stored, held to their committed outputs, and what must not be in them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jwt
import pytest

from lab.notebooks.execute import METADATA, PYTHON, sources
from lab.notebooks.jupyter import FOLDER, copy_notebooks
from lab.notebooks.normal import differences, normal, secrets_in, texts_of
from registration.run_lock import RunError
from tests.support.system import ROOT

CELLS = """
import json, sys, jupytext
read = (jupytext.read(source, fmt="py:percent") for source in sys.argv[1:])
print(json.dumps([[[cell.cell_type, cell.source] for cell in one.cells] for one in read]))
"""
LINK = re.compile(r"\]\(([^)\s]+)\)")
OUTPUT = "the token for tool/documents: 401 audience_mismatch, scope tool.read, rule document-of-own-department"


def printed(*texts: str) -> list[dict[str, Any]]:
    return [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("401", "200"),
        ("audience_mismatch", "not_bound"),
        ("tool.read", "tool.write"),
        ("document-of-own-department", "scope-held"),
        ("tool/documents", "inference"),
    ],
)
def test_another_status_reason_rule_scope_or_party_is_a_difference(was: str, becomes: str) -> None:
    committed = normal(OUTPUT)

    assert differences(committed, OUTPUT) == []
    assert differences(committed, OUTPUT.replace(was, becomes)) != []


@pytest.mark.parametrize(
    ("took", "stored"),
    [
        ("21.4", "<under 0.1 s>"),
        ("100", "<under 1 s>"),
        ("1000", "<under 3 s>"),
        ("2999.9", "<under 3 s>"),
        ("3000", "<over 3 s>"),
    ],
)
def test_milliseconds_are_stored_as_a_range_in_which_two_runs_may_differ(took: str, stored: str) -> None:
    assert normal(f"401 revoked, {took} ms later") == f"401 revoked, {stored} later"
    assert differences(normal("401 revoked, 50 ms later"), f"401 revoked, {took} ms later") == []
    assert differences(normal("401 revoked, 50 ms later"), "401 revoked, at once") != []


@pytest.mark.parametrize(
    "secret",
    [
        jwt.encode({"sub": "alice"}, "a key that is long enough for it", algorithm="HS256"),
        "-----BEGIN EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "0123456789abcdef" * 2,
    ],
)
def test_a_token_a_key_and_what_looks_like_a_password_are_found(secret: str) -> None:
    [found] = secrets_in(f"x {secret} y")

    assert secret not in found


@pytest.mark.parametrize(
    "printed_so", ["secret:\t{}", "\x1b[32m{}\x1b[0m", "secret_{}", "a%3D{}", "{}z", "\n{}\n", "{}".upper()]
)
@pytest.mark.parametrize("secret", ["0123456789abcdef" * 4, "0123456789ABCDEF" * 4, "aB3_-" * 13])
def test_a_secret_is_found_whatever_stands_beside_it(secret: str, printed_so: str) -> None:
    assert secrets_in(texts_of(printed(printed_so.format(secret))))
    coloured = f"\x1b[31m{secret[:16]}\x1b[0m{secret[16:26]}\x1b[32m{secret[26:]}"
    assert secrets_in(texts_of([{"data": {"text/plain": [coloured]}}]))


def test_a_notebook_that_does_not_exist_is_an_error_and_not_nothing_to_do() -> None:
    assert [source.stem for source in sources(["6_registration"])] == ["6_registration"]
    with pytest.raises(RunError, match="there is no notebook 6; there are 1_today, "):
        sources(["6"])


def test_the_committed_notebooks_are_of_their_sources_and_have_nothing_secret_in_them() -> None:
    assert sources()
    read = subprocess.run([PYTHON, "-I", "-c", CELLS, *sources()], capture_output=True, check=True)  # noqa: S603 - ours
    for source, cells in zip(sources(), json.loads(read.stdout), strict=True):
        text = source.with_suffix(".ipynb").read_text()
        there = json.loads(text)

        assert [[cell["cell_type"], "".join(cell["source"])] for cell in there["cells"]] == cells
        assert there["metadata"] == METADATA
        assert secrets_in(texts_of(there)) == []
        assert normal(text) == text


def test_every_link_works_where_a_reader_opens_it_and_what_a_reader_changed_stays(tmp_path: Path) -> None:
    folder = copy_notebooks(tmp_path / "copies")
    links = [(file, link) for file in (folder / FOLDER).iterdir() for link in LINK.findall(file.read_text())]
    inside = [(file, link) for file, link in links if not link.startswith("https://")]

    assert {file.stem for file, _ in inside} == {source.stem for source in sources()}
    for file, link in inside:
        target = (file.parent / link.partition("#")[0]).resolve()
        assert target.is_relative_to(folder), link
        assert target.is_file(), link
        assert target.read_bytes() == (ROOT / target.relative_to(folder)).read_bytes(), link

    first = folder / FOLDER / "1_today.ipynb"
    first.write_text("mine")
    assert copy_notebooks(folder) == folder
    assert first.read_text() == "mine"
