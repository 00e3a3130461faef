"""The project's own code with one control missing.  This can be had here and nowhere else.

A control is a piece of source: a statement, or a part of one.  `without(control)` takes it out of the compiled
function, in this process and for as long as the block runs; every other line stays what it is.

    with without(Control("zerotrust.verify", "verify", "if claims.iss != expected.issuer:")):
        ...  # here a token of any issuer is good
"""

import ast
import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


class NoSuchControl(Exception):
    """The source has changed: what should be taken away is not there, or there twice."""


@dataclass(frozen=True, slots=True)
class Control:
    """Where a check is, and what stands there without it."""

    module: str
    function: str
    """Its name in the module, for a method with the class before it."""
    take: str
    """A statement or an expression; of a compound statement the first line, up to the colon."""
    put: str = ""
    """What takes its place: nothing, where a statement can go without one."""
    where: str = ""
    """What to call it, where file and function would not say what it is."""

    def __str__(self) -> str:
        return self.where or f"{self.module.replace('.', '/')}.py {self.function}"


@contextmanager
def without(*controls: Control) -> Iterator[None]:
    """Run a block with these controls missing.  Raises `NoSuchControl`."""
    functions: dict[FunctionType, list[Control]] = {}
    for control in controls:
        functions.setdefault(_function(control), []).append(control)
    with ExitStack() as stack:
        for function, missing in functions.items():
            stack.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = _weakened(missing, function)
        yield


def _function(control: Control) -> FunctionType:
    named: Any = reduce(getattr, control.function.split("."), import_module(control.module))
    found = inspect.unwrap(named)
    assert isinstance(found, FunctionType), control  # noqa: S101 - or a test has named a class
    return found


def _weakened(controls: Iterable[Control], function: FunctionType) -> CodeType:
    file = function.__code__.co_filename
    tree = ast.parse(Path(file).read_text())
    body = next(node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) and _starts_at(node, function))
    for control in controls:
        taken = _Taken(control)
        taken.visit(body)
        if taken.times != 1:
            raise NoSuchControl(f"{control}: {control.take!r} is there {taken.times} times")
    return next(
        code for code in _codes(compile(ast.fix_missing_locations(tree), file, "exec")) if _same(code, function)
    )


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _starts_at(node: ast.FunctionDef | ast.AsyncFunctionDef, function: FunctionType) -> bool:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first == function.__code__.co_firstlineno


def _same(code: CodeType, function: FunctionType) -> bool:
    return (code.co_qualname, code.co_firstlineno) == (function.__qualname__, function.__code__.co_firstlineno)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


class _Taken(ast.NodeTransformer):
    """Replaces what a control names."""

    def __init__(self, control: Control) -> None:
        self.times = 0
        self._take = _first_line(_parsed(control.take))
        self._put = _parsed(control.put or "pass")

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt | ast.expr) and _first_line(node) == self._take:
            self.times += 1
            return self._put if isinstance(node, ast.stmt) or not isinstance(self._put, ast.Expr) else self._put.value
        return super().generic_visit(node)


def _parsed(text: str) -> ast.stmt:
    return ast.parse(text + " pass" if text.endswith(":") else text).body[0]


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0]
