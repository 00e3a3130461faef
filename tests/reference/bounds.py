"""docs/reference/bounds.md: each limit with its value and reason from the source, and what `bounds.txt` says of it.

A line of `bounds.txt` names a constant, what happens above it, and the tests that go above it.  Lines and tests that
name something that is gone are dropped when the page is written, so whoever deletes a limit only writes the page anew.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.reference.source import documented
from tests.support.system import ROOT

TABLE = Path(__file__).with_name("bounds.txt")
SERVED = ("zerotrust", "authzen", "orchestrator", "agents", "console", "tools", "inference", "authorities")
"""The folders of what others can reach: whatever is called a limit there is on the page."""
_LIMIT = re.compile(r"(?:\w+\.)?(?:_?[A-Z]+_)*_?(?:MAX|MOST|LONGEST|CAPACITY)(?:_[A-Z_]+)?")
_INTRODUCTION = """\
# Bounds

`start/run tests.reference` writes this page. Names, values and reasons are those of the source. The last columns say
what happens above the limit, and which tests below `tests/` go above it.

Four things have no limit ([why](../explain/limits.md)). These are the journals, for an admitted user; the audit log, at
the rate of a party's share; Keycloak, for a party; and Keycloak's own port, for strangers.
"""


class Bound(NamedTuple):
    """A limit: the file and the name of its constant, what happens above it, and the tests that go above it."""

    file: str
    name: str
    beyond: str = ""
    tests: tuple[str, ...] = ()

    @property
    def value(self) -> object:
        found: object = import_module(self.file.removesuffix(".py").replace("/", "."))
        for part in self.name.split("."):
            found = getattr(found, part)
        return found

    @property
    def why(self) -> str:
        """What its source says of it."""
        return documented(ROOT / self.file)[self.name]


def told() -> list[Bound]:
    lines = [map(str.strip, line.replace(" ", "|", 1).split("|")) for line in TABLE.read_text().splitlines()]
    return [Bound(file, name, beyond, tuple(tests.split())) for file, name, beyond, tests in lines]


def bounds() -> list[Bound]:
    """Return all limits: those of `bounds.txt`, and those that are called one where others can reach them."""
    by_name = {(bound.file, bound.name): bound for bound in told()}
    for file in (file for folder in SERVED for file in (ROOT / folder).rglob("*.py")):
        for name in filter(_LIMIT.fullmatch, documented(file)):
            bound = Bound(str(file.relative_to(ROOT)), name)
            if isinstance(bound.value, int | float):
                by_name.setdefault((bound.file, name), bound)
    return [by_name[key] for key in sorted(by_name)]


def is_there(bound: Bound) -> bool:
    return (ROOT / bound.file).exists() and bound.name in documented(ROOT / bound.file)


@cache
def _functions(file: str) -> set[str]:
    return set(re.findall(r"def (test_\w+)\(", path.read_text())) if (path := ROOT / "tests" / file).exists() else set()


def exists(test: str) -> bool:
    """Return whether there is such a test: a file below tests/, and its function."""
    file, _, function = test.partition("::")
    return function in _functions(file)


def drop_what_is_gone() -> None:
    """Write `bounds.txt` without constants and tests that do not exist."""
    kept = [bound._replace(tests=tuple(filter(exists, bound.tests))) for bound in told() if is_there(bound)]
    lines = [f"{one.file} {one.name} | {one.beyond} | {' '.join(one.tests)}".rstrip() for one in sorted(kept)]
    TABLE.write_text("".join(f"{line}\n" for line in lines))


def page() -> str:
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for folder, found in groupby(sorted(bounds(), key=_folder), _folder):
        yield f"## {folder}\n\n| bound | value | what it is, and why | above it | tested in |\n|---|---|---|---|---|"
        yield from map(_row, found)
        yield ""


def _folder(bound: Bound) -> str:
    return "/".join(bound.file.split("/")[:-1][:2])


def _row(bound: Bound) -> str:
    value = f"{bound.value:,}" if isinstance(bound.value, int | float) else bound.value
    tests = ", ".join(f"`{test}`" for test in bound.tests)
    cells = f"`{bound.file}` `{bound.name}`", value, bound.why, bound.beyond, tests
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
