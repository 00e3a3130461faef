"""The project's code without one control, for the lab and tests only.

A control is a statement, or a part of one, that a comment gives an id: `# control: azp-is-peer`, at the end of its line
or, if that would be too long, on its own line above.  The running system does not read these comments.
`without(control)` removes it from the compiled function, in this process and until the block ends.

    with without(Control("azp-is-peer")):
        ...  # here any peer can use a token
"""

import ast
import gc
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from unittest.mock import patch

from lab.deletion import Place, places
from start.run import PACKAGES

ROOT = Path(__file__).parents[1]
POLICIES = ".cedar"
"""A condition of a policy is a control as well; it is replaced by `true`."""

_COMMENT = re.compile(r"(?:#|//) control: ([a-z0-9-]+)$")
_SEVERAL = ("values", "elts", "args", "keywords", "ifs")
"""Fields with several parts: a part that is alone on its line can have an id."""


class NoSuchControl(Exception):
    """A control to be removed does not exist, or occurs twice."""


Hook = Callable[[Place, int], None]
"""Changes the tree at the place of a control; the number is the line of its id.  Raises `NoSuchControl`."""


def delete(place: Place, _line: int) -> None:
    """Delete what has the control's id."""
    place.delete()


@dataclass(frozen=True, slots=True)
class Control:
    """A control to be removed, and what happens at its place."""

    id: str
    hook: Hook = delete
    how: str = ""
    """The change there, in a few words, where a row takes away the same control in several ways."""

    def __str__(self) -> str:
        return f"{self.id} ({self.how})" if self.how else self.id


@cache
def controls() -> Mapping[str, list[tuple[Path, int]]]:
    """Return file and line of every control of the product, by id."""
    found = defaultdict(list)
    for package in sorted(PACKAGES - {"lab", "tests"} | {"policies"}):
        for file in sorted((ROOT / package).rglob("*.*")):
            lines = file.read_text().splitlines() if file.suffix in {".py", POLICIES} else []
            for number, line in enumerate(lines, 1):
                if comment := _COMMENT.search(line):
                    own_line = line.lstrip().startswith(comment[0])
                    found[comment[1]].append((file, number + own_line))
    return found


def where(control: Control) -> str:
    """Return the file and the function of a control."""
    file, line = _find(control)
    function = "" if file.suffix == POLICIES else _function(_statement(_parse(file), line))
    return f"{file.relative_to(ROOT)} {function}".rstrip()


@contextmanager
def without(*missing: Control) -> Iterator[None]:
    """Run a block with these controls missing.  Raises `NoSuchControl`."""
    files = defaultdict(list)
    for control in missing:
        file, line = _find(control)
        files[file].append((line, control))
    with ExitStack() as stack:
        for file, found in files.items():
            if file.suffix == POLICIES:
                stack.enter_context(_policies_without([control.id for _, control in found]))
                continue
            for function, code in _weaken(file, found):
                stack.callback(setattr, function, "__code__", function.__code__)
                function.__code__ = code
        yield


def _find(control: Control) -> tuple[Path, int]:
    found = controls().get(control.id, [])
    if len(found) != 1:
        raise NoSuchControl(f"{control} occurs {len(found)} times")
    return found[0]


def _policies_without(ids: Iterable[str]) -> Any:
    """Return a patch by which policy engines are built without these conditions."""
    engine: Any = import_module("zerotrust.policy").CedarPolicy
    build, condition = engine.__init__, re.compile(rf"^(\s*).*?( &&)?\s*//.* control: ({'|'.join(ids)})$", re.MULTILINE)

    def weakened(self: Any, *, policies: str, **others: Any) -> None:
        build(self, policies=condition.sub(r"\1true\2", policies), **others)

    return patch.object(engine, "__init__", weakened)


def _parse(file: Path) -> ast.Module:
    """Parse a file while no garbage is collected.

    Before Python 3.11.8 and 3.12.2, `ast.parse` fails if a collected task logs its traceback, which parses too
    (gh-106905).
    """
    gc.disable()
    try:
        return ast.parse(file.read_text())
    finally:
        gc.enable()


def _weaken(file: Path, found: Iterable[tuple[int, Control]]) -> Iterator[tuple[FunctionType, CodeType]]:
    tree = _parse(file)
    gone = [(_target(tree, line), line, control) for line, control in found]
    for place, line, control in gone:
        control.hook(place, line)
    codes = [*_codes(compile(ast.fix_missing_locations(tree), str(file), "exec"))]
    module = import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for name in dict.fromkeys(_function(place) for place, *_ in gone):
        named: Any = reduce(getattr, name.split("."), module)
        function = inspect.unwrap(named)
        assert isinstance(function, FunctionType), name  # noqa: S101 - each control is in a function
        yield function, next(code for code in codes if code.co_qualname == function.__qualname__)


def _statement(tree: ast.AST, line: int) -> Place:
    statements = [place for place in places(tree) if isinstance(place.node, ast.stmt)]
    return [place for place in statements if line in place.lines][-1]


def _target(tree: ast.AST, line: int) -> Place:
    """Return what a control names: a part of a statement that is alone on its line, or the whole statement."""
    statement = _statement(tree, line)
    parts = [*places(statement.node, statement, *statement.above, but=ast.stmt)]
    alone = [part for part in parts if part.field in _SEVERAL and part.lines == range(line, line + 1)]
    nodes = {part.node for part in alone}
    outer = [part for part in alone if not any(above.node in nodes for above in part.above)]
    return outer[0] if statement.lines[0] != line and len(outer) == 1 else statement


def _function(place: Place) -> str:
    """Return the qualified name of the outermost function that contains a place."""
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
