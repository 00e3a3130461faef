"""The English of the pages: no sentence of one written by hand is over 30 words, and nothing has a word ruled out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import BY_HAND, GENERATED
from tests.support.system import ROOT

LONGEST = 30
"""Words of a sentence. A cell of a table and an item of a list end one too."""

GLOSSARY = "docs/reference/glossary.md"
RULED_OUT = re.findall(r"^\| `([^`]+)` \|", (ROOT / GLOSSARY).read_text(), re.MULTILINE)


def blocks(page: str) -> Iterator[str]:
    """Yield each paragraph, heading, item and cell of a page as plain text: code, tags and addresses are left out."""
    page = re.sub(r"^(```+).*?^\1", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"(?m)^    (?![-*] |\d+\. ).*$", "", page)
    page = re.sub(r"<[^>]+>", "", re.sub(r"``?[^`]+``?", "code", page))
    page = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", page)
    page = re.sub(r"(?m)^\s*([-*]|\d+\.|#+|>) ", "\n\n", page)
    for block in re.split(r"\n\s*\n", page):
        if block.lstrip().startswith("|"):
            yield from (cell for row in block.splitlines() for cell in row.split("|"))
        else:
            yield block


def sentences(page: str) -> list[str]:
    """Return the sentences of a page, each on one line."""
    found = (re.split(r"(?<=[.!?])[\"')*]*\s+", block) for block in blocks(page))
    return [" ".join(sentence.split()) for block in found for sentence in block]


def too_long(page: Path) -> list[str]:
    return [one for one in sentences(page.read_text()) if len(re.findall(r"\S*\w\S*", one)) > LONGEST]


def ruled_out(page: Path) -> list[str]:
    """Return the words of a page that the glossary rules out."""
    text = "\n".join(blocks(page.read_text()))
    return [word for word in RULED_OUT if re.search(rf"\b{word}\b", text, re.IGNORECASE)]


pages = pytest.mark.parametrize("name", BY_HAND)


@pages
def test_no_sentence_is_too_long(name: str) -> None:
    assert too_long(ROOT / name) == []


@pytest.mark.parametrize("name", [*BY_HAND, *sorted(str(page.relative_to(ROOT)) for page in GENERATED)])
def test_no_word_is_ruled_out(name: str) -> None:
    assert ruled_out(ROOT / name) == []


@pytest.mark.parametrize("folder", ["zt", "start", "demo", "registration"])
def test_no_text_of_a_program_has_a_word_that_is_ruled_out(folder: str) -> None:
    found = []
    for file in (ROOT / folder).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
        texts = [str(node.value) for node in nodes if isinstance(node, ast.Constant) and node not in docstrings]
        found += [(file.name, word) for word in RULED_OUT if re.search(rf"\b{word}\b", "\n".join(texts))]

    assert found == []


def test_what_is_looked_for_is_found() -> None:
    long = " ".join(["word"] * 31)

    assert len(RULED_OUT) >= 5
    assert sentences(f"One. {long}.\n\n| a | b |\n|---|---|\n| `c` d | {long} |\n")[1] == f"{long}."
