"""How much there is: each number may only fall until it meets its target, and stays below it from then on."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from registration.derived.compose import FILE as COMPOSE
from tests.support.pages import BY_HAND
from tests.support.system import ROOT, registry
from zerotrust.authority.files.lock import load_lock

_LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
FILES = [Path(name) for name in subprocess.check_output(_LISTED, cwd=ROOT, text=True).splitlines()]  # noqa: S603


def lines(files: Iterable[Path]) -> int:
    """Return how many lines the text files among them have; locks, recordings and pages are left out.

    So are the files that `make register` writes.
    """
    left_out = {".lock", ".gz", ".sum"}
    by_hand = [file for file in files if file.suffix not in left_out and "generated" not in file.parts]
    texts = [ROOT / file for file in by_hand if file.name not in {"README.md", COMPOSE}]
    return sum(text.read_bytes().count(b"\n") for text in texts if text.is_file())


def is_product(file: Path) -> bool:
    """Return whether a file is part of the product, as code, policies, realm and build files are."""
    return file.parts[0] not in {"docs", "tests", "notebooks", "LICENSE"}


INNER = {"zerotrust", "orchestrator", "agents", "tools", "inference", "authorities"}
"""The folders of what parties and authorities run, but for the console, which has numbers of its own.

All else is around it, and changes no party's digest.
"""


def largest_unit() -> int:
    """Return the lines of code that the largest party is measured by; authorities and console are left out."""
    lock = load_lock(ROOT / "registry.lock")
    return max(lines(map(Path, lock.files_of(name))) for name in {*registry().services} - {"console"})


def is_test(file: Path) -> bool:
    """Return whether a file is part of the tests; a recording of an earlier version is not."""
    return file.parts[0] == "tests" and file.parts[1] != "golden"


VERIFIES = Path("console/static/verify.js")


def in_console(*suffixes: str) -> list[Path]:
    return [file for file in FILES if file.parts[0] == "console" and file.suffix in suffixes]


def size(pages: Iterable[str]) -> int:
    return sum(len((ROOT / page).read_bytes()) for page in pages)


def occurrences(text: str, folder: str) -> int:
    """Return how often a text occurs in the Python files of a folder."""
    return sum(file.read_text().count(text) for file in (ROOT / folder).rglob("*.py"))


def words_to_read() -> int:
    """Return how many words README and the pages have that it links as reading; 200 are read in a minute."""
    readme = (ROOT / "README.md").read_text()
    linked = readme.partition("**Read**")[2].partition("\n**Do**")[0]
    assert "walkthrough.md" in linked
    return sum(
        len((ROOT / page).read_text().split()) for page in ["README.md", *re.findall(r"\]\(([^)]+\.md)\)", linked)]
    )


BUDGETS = {
    "bytes of pages by hand": (size({*BY_HAND} - {"README.md"}), 251_700, 220_000),
    "bytes of README": (size(["README.md"]), 9_000, 9_000),
    "words that README links as reading": (words_to_read(), 17_000, 17_000),
    "entries at the top": (len({file.parts[0] for file in FILES}), 31, 30),
    "lines of product": (lines(file for file in FILES if is_product(file)), 54_050, 48_000),
    "lines of the inner ring": (lines(f for f in FILES if f.parts[0] in INNER and f.suffix == ".py"), 24_900, 24_000),
    "lines of the largest party": (largest_unit(), 11_010, 11_000),
    "lines of the console": (lines(in_console(".py", ".html")), 2_290, 1_800),
    "lines of the console's scripts": (lines(set(in_console(".js")) - {VERIFIES}), 435, 400),
    "lines of the script that verifies": (lines([VERIFIES]), 490, 490),
    "lines of the exporter of traces": (lines(f for f in FILES if f.parts[:2] == ("start", "traces")), 250, 250),
    "lines of tests": (lines(file for file in FILES if is_test(file)), 68_300, 58_000),
    "lines of the gate": (lines([Path("zerotrust/gate.py")]), 155, 155),
    "imports of ours in the gate": ((ROOT / "zerotrust" / "gate.py").read_text().count("from zerotrust"), 9, 9),
    "context variables of the library": (occurrences("ContextVar(", "zerotrust"), 4, 4),
}
"""What is counted: what there is, the most that there may be today, and the target."""


@pytest.mark.parametrize("counted", BUDGETS)
def test_a_number_stays_within_its_budget(counted: str, capsys: pytest.CaptureFixture[str]) -> None:
    there, most, target = BUDGETS[counted]

    with capsys.disabled():
        print(f"\n{there:,} {counted}; at most {most:,}, target {target:,}")
    assert there <= most
