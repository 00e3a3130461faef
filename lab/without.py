"""The project's own code with one control missing.  This can be had here and nowhere else.

A control is a statement, or a part of one, that a comment gives an id: `# control: azp-is-peer`, at the end of its line
or, where that would be too long, on a line of its own above.  Nothing reads these comments while the system runs.
`without(control)` takes it out of the compiled function, in this process and for as long as the block runs; every
other line stays what it is.

    with without(Control("azp-is-peer")):
        ...  # here a token is good in anybody's hands
"""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from unittest.mock import patch

from lab.deletion import Place, parsed, places
from scripts.run import PACKAGES

ROOT = Path(__file__).parents[1]
POLICIES = ".cedar"
"""A condition of a policy is a control, too.  Without it, `true` stands there."""

_COMMENT = re.compile(r"(?:#|//) control: ([a-z0-9-]+)$")
_SEVERAL = ("values", "elts", "args", "keywords", "ifs")
"""Parts that there may be several of: one that is alone on its line can have an id of its own."""


class NoSuchControl(Exception):
    """What should be taken away is not there, or there twice."""


@dataclass(frozen=True, slots=True)
class Control:
    """Which check is missing, and what stands there without it."""

    id: str
    put: str = ""
    """What takes its place: nothing, where a statement can go without one."""
    take: str = ""
    """The part of the statement, as it is written there, where not all of it goes."""

    def __str__(self) -> str:
        return self.id


@cache
def controls() -> Mapping[str, list[tuple[Path, int]]]:
    """All ids in the product: in which file, and at which line, each of them is."""
    found = defaultdict(list)
    for package in sorted(PACKAGES - {"lab", "tests"}):
        for file in sorted((ROOT / package).rglob("*.*")):
            for number, line in enumerate(_lines(file), 1):
                if comment := _COMMENT.search(line):
                    own_line = line.lstrip().startswith(comment[0])
                    found[comment[1]].append((file, number + own_line))
    return found


def where(control: Control) -> str:
    """The file that a control is in, and the function."""
    file, line = _found(control)
    function = "" if file.suffix == POLICIES else _function(_statement(ast.parse(file.read_text()), line))
    return f"{file.relative_to(ROOT)} {function}".rstrip()


@contextmanager
def without(*missing: Control) -> Iterator[None]:
    """Run a block with these controls missing.  Raises `NoSuchControl`."""
    files = defaultdict(list)
    for control in missing:
        file, line = _found(control)
        files[file].append((line, control))
    with ExitStack() as stack:
        for file, found in files.items():
            if file.suffix == POLICIES:
                stack.enter_context(_policies_without([control.id for _, control in found]))
                continue
            for function, code in _weakened(file, found):
                stack.callback(setattr, function, "__code__", function.__code__)
                function.__code__ = code
        yield


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.suffix in {".py", POLICIES} else []


def _found(control: Control) -> tuple[Path, int]:
    found = controls().get(control.id, [])
    if len(found) != 1:
        raise NoSuchControl(f"{control} is there {len(found)} times")
    return found[0]


def _policies_without(ids: Iterable[str]) -> Any:
    """Whoever decides by the policies decides by them without these conditions."""
    engine: Any = import_module("zerotrust.policy").CedarPolicy
    build, condition = engine.__init__, re.compile(rf"^(\s*).*?( &&)?\s*//.* control: ({'|'.join(ids)})$", re.MULTILINE)

    def weakened(self: Any, *, policies: str, **others: Any) -> None:
        build(self, policies=condition.sub(r"\1true\2", policies), **others)

    return patch.object(engine, "__init__", weakened)


def _weakened(file: Path, found: Iterable[tuple[int, Control]]) -> Iterator[tuple[FunctionType, CodeType]]:
    source = file.read_text()
    tree = ast.parse(source)
    gone = [(_taken(tree, source, line, control), control.put) for line, control in found]
    for place, put in gone:
        if put:
            place.put(*parsed(put, place.node))
        else:
            place.delete()
    codes = [*_codes(compile(ast.fix_missing_locations(tree), str(file), "exec"))]
    module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for name in dict.fromkeys(_function(place) for place, _ in gone):
        named: Any = reduce(getattr, name.split("."), module)
        function = inspect.unwrap(named)
        assert isinstance(function, FunctionType), name  # noqa: S101 - or what has an id is in no function
        yield function, next(code for code in codes if code.co_qualname == function.__qualname__)


def _statement(tree: ast.AST, line: int) -> Place:
    """The innermost statement that has that line."""
    statements = [place for place in places(tree) if isinstance(place.node, ast.stmt)]
    return [place for place in statements if line in place.lines][-1]


def _taken(tree: ast.AST, source: str, line: int, control: Control) -> Place:
    """What a control names: a part of the statement, the one that is alone on its line, or else all of it."""
    statement = _statement(tree, line)
    parts = [*places(statement.node, statement, *statement.above, but=ast.stmt)]
    if control.take:
        parts = [part for part in parts if ast.get_source_segment(source, part.node) == control.take]
        if len(parts) != 1:
            raise NoSuchControl(f"{control}: {control.take!r} is there {len(parts)} times")
        return parts[0]
    alone = [part for part in parts if part.field in _SEVERAL and part.lines == range(line, line + 1)]
    outer = [part for part in alone if not any(part.is_in(other) for other in alone)]
    return outer[0] if statement.lines[0] != line and len(outer) == 1 else statement


def _function(place: Place) -> str:
    """The name, in its module, of the function that a place is in; of those within each other, the outermost."""
    names = []
    for above in reversed(place.above):
        if isinstance(above.node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(above.node.name)
            if not isinstance(above.node, ast.ClassDef):
                break
    return ".".join(names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
