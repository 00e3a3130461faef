"""The English of pages, docstrings and messages: no long sentence, no word ruled out, and fewer of eight patterns."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_budgets import FILES, is_product
from tests.support.pages import BY_HAND, GENERATED
from tests.support.system import ROOT

LONGEST = 30
"""Words of a sentence. A cell of a table and an item of a list end one too."""

GLOSSARY = "docs/reference/glossary.md"
RULED_OUT = re.findall(r"^\| `([^`]+)` \|", (ROOT / GLOSSARY).read_text(), re.MULTILINE)

ADJECTIVE = "the|this|that|another|such|each|every|older|newer|new|last|first|next|wrong|other"
PATTERNS = {
    "is no": r"(?<![Tt]here )\b(?:is|are|was|were) no\b",
    "has not the": r"\b(?:has|have|had) not (?:the|a|an|exactly)\b|\bha(?:s|ve) no such\b",
    "Of": r"^Of\b",
    "What, Who, Whose": r"^(?:What|Who|Whose)\b.*[.:]",
    "one": rf"\b(?:ones|no one)\b|\b(?:{ADJECTIVE}) one(?=[.,;:)]| (?:that|which|who|is|was|has|in)\b|$)"
    r"|\b[Oo]ne (?:that|which|who)\b",
    "nobody": r"\b(?:nobody|somebody|told|meanwhile)\b",
    "says": r"\b[Ss]ays? (?:who|what|which|how|whether|so)\b",
    "taken": r"\b(?:is|are|be|and|not) taken\b(?! (?:over|away|out|from))",
}
"""What a native reader stumbles over: CONTRIBUTING.md has what to write instead."""

MOST = {
    "is no": (0, 2, 1),
    "has not the": (0, 0, 1),
    "Of": (0, 1, 0),
    "What, Who, Whose": (18, 4, 2),
    "one": (5, 14, 2),
    "nobody": (2, 2, 1),
    "says": (4, 2, 1),
    "taken": (0, 1, 0),
}
"""Sentences with a pattern, at most: in pages, docstrings and messages.  These numbers only fall."""


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


def texts_of(file: Path) -> tuple[list[str], list[str]]:
    """Return the docstrings of a module, and its other texts of three words and more: what it prints."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    messages = [str(node.value) for node in texts if node not in docstrings]
    return [str(node.value) for node in texts if node in docstrings], [it for it in messages if len(it.split()) > 2]


def with_pattern(pattern: str, texts: list[str]) -> list[str]:
    """Return the sentences that have the pattern."""
    return [it for text in texts for it in sentences(text) if re.search(PATTERNS[pattern], it.strip(" *-"))]


def everything() -> dict[str, list[str]]:
    """Return all pages, docstrings and messages."""
    there: dict[str, list[str]] = {"pages": [(ROOT / page).read_text() for page in BY_HAND], "doc": [], "messages": []}
    for file in FILES:
        if file.suffix == ".py" and is_product(file) and (ROOT / file).is_file():
            docstrings, messages = texts_of(ROOT / file)
            there["doc"] += docstrings
            there["messages"] += messages
    return there


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
        texts = "\n".join(texts_of(file)[1])
        found += [(file.name, word) for word in RULED_OUT if re.search(rf"\b{word}\b", texts)]

    assert found == []


def test_the_patterns_that_readers_stumble_over_become_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    there = everything()
    found = {name: tuple(len(with_pattern(name, texts)) for texts in there.values()) for name in PATTERNS}

    with capsys.disabled():
        print("\nof each pattern, in pages, docstrings and messages:", found)
    over = {
        name: with_pattern(name, there[kind])
        for name, most in MOST.items()
        for kind, number, limit in zip(there, found[name], most, strict=True)
        if number > limit
    }
    assert not over, "CONTRIBUTING.md has what to write instead"


def test_what_is_looked_for_is_found() -> None:
    long = " ".join(["word"] * 31)
    bad = {
        "is no": "It is no party.",
        "has not the": "It has not the hash.",
        "Of": "Of a yes, it names the rule.",
        "What, Who, Whose": "What no rule permits is refused.",
        "one": "It refuses an older one.",
        "nobody": "It is measured by nobody.",
        "says": "It says who may call.",
        "taken": "A token is taken until it ends.",
    }

    assert len(RULED_OUT) >= 5
    assert sentences(f"One. {long}.\n\n| a | b |\n|---|---|\n| `c` d | {long} |\n")[1] == f"{long}."
    assert {name: with_pattern(name, [text]) for name, text in bad.items()} == {n: [text] for n, text in bad.items()}
    assert not any(with_pattern(name, ["One key is not there. There is no log. It has not begun."]) for name in bad)
