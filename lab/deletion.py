"""Deletes checks from source code.  Pure.

Defines a check, and what remains when it is deleted:
  if X: raise, return ...      X, without consequence
  X or Y, X and Y              Y; and X
  f(x), await f(x)             nothing, if it is a statement: a record, a count, a named check
  raise A from B               B itself, in a handler of B
  [x for x in y if z]          every x
  f(strict=True)               f(), if the argument is a switch, or constrains a field
  asyncio.timeout(x)           no timeout
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FIELDS = {"Field", "ConfigDict", "SettingsConfigDict"}
LAYOUT = {"slots", "kw_only", None}
"""Arguments about the layout of a class, which check nothing."""


@dataclass(frozen=True)
class Place:
    """A node, and its place in the tree: a field of its parent."""

    node: ast.AST
    field: str
    above: "tuple[Place, ...]"
    """The ancestors, the parent first."""

    @property
    def parent(self) -> ast.AST:
        return self.above[0].node

    @property
    def lines(self) -> range:
        node: Any = self.node
        return range(node.lineno, node.end_lineno + 1) if hasattr(node, "lineno") else range(0)

    @property
    def is_check(self) -> bool:
        """Whether it is a check, as defined above."""
        match self.node:
            case ast.If(orelse=[]) | ast.Expr(value=ast.Call() | ast.Await()):
                return True
            case ast.Raise(exc=ast.expr()):
                return any(isinstance(place.node, ast.ExceptHandler) for place in self.above)
            case ast.Call() if _is_timeout(self.node):
                return True
            case ast.keyword(arg=arg, value=value) if isinstance(self.parent, ast.Call):
                switch = isinstance(value, ast.Constant) and isinstance(value.value, bool)
                return arg not in LAYOUT and (switch or ast.unparse(self.parent.func) in FIELDS)
        return self.field == "ifs" or (isinstance(self.parent, ast.BoolOp) and self.field == "values")

    def put(self, *new: ast.AST) -> None:
        """Replace it.  Raises `ValueError` unless exactly one node is given where only one can be."""
        old = getattr(self.parent, self.field)
        if isinstance(old, list):
            at = next(number for number, node in enumerate(old) if node is self.node)
            old[at : at + 1] = new
        elif len(new) == 1:
            setattr(self.parent, self.field, new[0])
        else:
            raise ValueError(f"one node has to replace {ast.unparse(self.node)}")

    def delete(self) -> None:
        """Delete it, as defined above.  Raises `ValueError` if nothing valid would remain."""
        match self.node:
            case ast.If(test=test, orelse=[]):
                self.put(ast.Expr(test))  # it may assign a name
            case ast.Raise():
                self.put(ast.Raise())
            case ast.stmt():
                self.put(ast.Pass())
            case ast.Call(func=func) if _is_timeout(self.node):
                self.put(ast.Call(func, [ast.Constant(None)], []))
            case ast.expr() if isinstance(self.parent, ast.BoolOp):
                self._delete_operand(self.node, self.parent)
            case _:
                self.put()

    def _delete_operand(self, operand: ast.expr, whole: ast.BoolOp) -> None:
        others = [value for value in whole.values if value is not operand]
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(operand)):  # only the assignment is needed
            none, worth = (ast.Or(), True) if isinstance(whole.op, ast.And) else (ast.And(), False)
            self.put(ast.BoolOp(none, [operand, ast.Constant(worth)]))
        elif len(others) == 1:
            self.above[0].put(*others)
        else:
            self.put()


def places(tree: ast.AST, *above: Place, but: type[ast.AST] | tuple[()] = ()) -> Iterator[Place]:
    """Return all places in a tree, parents first, without nodes of one kind and their content."""
    here = above or (Place(tree, "", ()),)
    for field, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not isinstance(node, but):
                place = Place(node, field, here)
                yield place
                yield from places(node, place, *here, but=but)


@dataclass(frozen=True)
class Mutant:
    """A module with one check deleted."""

    number: int
    """The index of the check among all places."""
    lines: range
    """The lines of the check: a test that runs none of them cannot fail."""
    deleted: str
    tree: ast.Module


def mutants(source: str) -> list[Mutant]:
    """Return a mutant for each check in `source`, in the order of the lines."""
    checks = [number for number, place in enumerate(places(ast.parse(source))) if place.is_check]
    return sorted((mutant(source, number) for number in checks), key=lambda mutant: mutant.lines[0])


def mutant(source: str, number: int) -> Mutant:
    """Return the mutant for the check with that number."""
    tree = ast.parse(source)
    place = [*places(tree)][number]
    check = place.node
    head = Place(check.test, "test", (place,)) if isinstance(check, ast.If) else place
    lines, deleted = range(place.lines[0], head.lines[-1] + 1), ast.unparse(check).partition("\n")[0]
    place.delete()
    return Mutant(number, lines, deleted, ast.fix_missing_locations(tree))


def _is_timeout(node: ast.Call) -> bool:
    return ast.unparse(node.func) == "asyncio.timeout"
