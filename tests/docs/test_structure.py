"""The README is short, every page is in the index once, and every link to a heading finds it."""

import re
from pathlib import Path

import pytest

from tests.support.pages import PRINCIPLES, texts
from tests.support.system import ROOT

README = (ROOT / "README.md").read_text()
INDEX = (ROOT / "docs" / "README.md").read_text()
SHELVES = ["Learn", "How-to", "Explain", "Reference"]


def rows(page: str, section: str) -> list[list[str]]:
    """Return the cells of the tables of a section, without their headings."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    words = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in words}


@pytest.mark.parametrize(
    ("page", "section"), [("README.md", "The five principles"), ("docs/explain/series.md", "From principle to file")]
)
def test_each_principle_of_the_series_has_files_and_tests(page: str, section: str) -> None:
    found = rows((ROOT / page).read_text(), section)

    assert [row[0] for row in found] == PRINCIPLES
    assert [row for row in found if "](" not in row[-2] or "](" not in row[-1]] == []
    assert [row for row in found if not any("tests/" in cell for cell in row)] == []


NOTEBOOK = re.compile(r"\[(\d)(?:: ([^\]]+))?\]\(\.\./\.\./notebooks/(\w+)\.ipynb\)")
"""A notebook by its number, and one of its headings; without a heading, all of it."""
LEADS_TO = [
    ("From figure to file", ["1", "2", "3", "4", "5"]),
    ("From principle to file", PRINCIPLES),
]


@pytest.mark.parametrize(("section", "subjects"), LEADS_TO)
def test_each_figure_and_principle_leads_to_a_notebook_a_section_files_and_tests(
    section: str, subjects: list[str]
) -> None:
    found = {row[0]: row[2:] for row in rows((ROOT / "docs" / "explain" / "series.md").read_text(), section)}

    assert list(found) == subjects
    for subject, (notebooks, sections, files, tests) in found.items():
        assert NOTEBOOK.search(notebooks), subject
        assert re.search(r"\]\([\w./-]+\.md#[\w-]+\)", sections), subject
        assert re.search(r"\]\(\.\./\.\./(?!tests/|notebooks/)", files), subject
        assert re.search(r"\]\(\.\./\.\./tests/", tests), subject


def test_each_notebook_is_in_the_map_and_each_of_its_headings_that_is_named_is_one() -> None:
    named = NOTEBOOK.findall((ROOT / "docs" / "explain" / "series.md").read_text())

    assert {name for _, _, name in named} == {file.stem for file in (ROOT / "notebooks").glob("*.ipynb")}
    for number, heading, name in named:
        source = (ROOT / "notebooks" / f"{name}.py").read_text()
        assert name.startswith(f"{number}_")
        assert not heading or f"\n# ## {heading}\n" in source, name


def test_each_notebook_has_a_row_on_its_page() -> None:
    page = (ROOT / "docs" / "learn" / "notebooks.md").read_text()

    told = re.findall(r"^\| \[\d [^\]]+\]\((?:\.\./)+notebooks/(\w+)\.ipynb\) \|", page, re.MULTILINE)
    assert told == sorted(file.stem for file in (ROOT / "notebooks").glob("*.ipynb"))


def test_every_page_is_in_the_index_once_on_the_shelf_of_its_folder() -> None:
    shelves = dict(re.findall(r"^## ([\w-]+)[^\n]*\n(.*?)(?=^## |\Z)", INDEX, re.MULTILINE | re.DOTALL))
    listed = {
        shelf: sorted(re.findall(r"^- .*?\]\(([\w/-]+\.md)\)", text, re.MULTILINE)) for shelf, text in shelves.items()
    }

    assert list(shelves) == SHELVES
    for shelf, links in listed.items():
        pages = sorted(f"{shelf.lower()}/{page.name}" for page in (ROOT / "docs" / shelf.lower()).glob("*.md"))
        assert links == pages, shelf


@texts
def test_every_link_to_a_heading_finds_it(text: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#\s]*)#([^)]+)\)", text.read_text())

    assert [link for link in links if link[1] not in anchors((text.parent / link[0]) if link[0] else text)] == []


def test_each_decision_has_its_date_what_was_rejected_and_its_cost() -> None:
    text = (ROOT / "docs" / "explain" / "decisions.md").read_text().partition("## What they cost")[0]
    entries = [entry for entry in text.strip().split("\n\n")[2:] if not entry.startswith("## ")]

    form = re.compile(r"\*\*[^*]+\*\* \(2\d{3}-\d\d-\d\d\) .* Rejected: .* Cost: .*\.")
    assert 15 <= len(entries) <= 30
    assert [entry[:60] for entry in entries if not form.fullmatch(entry)] == []
