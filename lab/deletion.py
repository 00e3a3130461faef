"""What is left of a piece of source when a part of it is deleted.  Pure.

What counts as a check, and what is left when it is deleted:
  if X: raise, return ...      X, of which nothing follows
  X or Y, X and Y              Y; and X
  f(x), await f(x)             nothing, where it stands as a statement: a record, a count, a check with a name
  raise A from B               B as it came, where it is the answer to B
  [x for x in y if z]          every x
  f(strict=True)               f(), where a switch is set by name, or a field is constrained
  asyncio.timeout(x)           no timeout
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FIELDS = {"Field", "ConfigDict", "SettingsConfigDict"}
LAYOUT = {"slots", "kw_only", None}
"""How a class is built, not what it checks."""


@dataclass(frozen=True)
class Place:
    """A node, and where it hangs: in that field of the node above."""

    node: ast.AST
    field: str
    above: "tuple[Place, ...]"
    """The nearest first."""

    @property
    def parent(self) -> ast.AST:
        """The node above."""
        return self.above[0].node

    @property
    def lines(self) -> range:
        """From where to where it stands in the source."""
        node: Any = self.node
        return range(node.lineno, node.end_lineno + 1) if hasattr(node, "lineno") else range(0)

    def is_in(self, other: "Place") -> bool:
        """Whether it is a part of another."""
        return any(place.node is other.node for place in self.above)

    @property
    def is_check(self) -> bool:
        """Whether it is what the head of this file calls a check."""
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
        """Put something else there.  Raises `ValueError` where one thing has to be and none, or more, is given."""
        old = getattr(self.parent, self.field)
        if isinstance(old, list):
            at = next(number for number, node in enumerate(old) if node is self.node)
            old[at : at + 1] = new
        elif len(new) == 1:
            setattr(self.parent, self.field, new[0])
        else:
            raise ValueError(f"one thing has to stand in the place of {ast.unparse(self.node)}")

    def delete(self) -> None:
        """Leave the rest, as the head of this file says.  Raises `ValueError` where there can be no rest."""
        match self.node:
            case ast.If(test=test, orelse=[]):
                self.put(ast.Expr(test))  # it may give a name to something
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
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(operand)):  # the name is needed, its worth not
            none, worth = (ast.Or(), True) if isinstance(whole.op, ast.And) else (ast.And(), False)
            self.put(ast.BoolOp(none, [operand, ast.Constant(worth)]))
        elif len(others) == 1:
            self.above[0].put(*others)
        else:
            self.put()


def places(tree: ast.AST, *above: Place, but: type[ast.AST] | tuple[()] = ()) -> Iterator[Place]:
    """All places in a tree but for one kind, and what is in that; whatever is around another comes before it."""
    here = above or (Place(tree, "", ()),)
    for field, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not isinstance(node, but):
                place = Place(node, field, here)
                yield place
                yield from places(node, place, *here, but=but)


def parsed(text: str, old: ast.AST) -> list[Any]:
    """A piece of source as it can stand in the place of another."""
    if isinstance(old, ast.stmt):
        return ast.parse(text).body
    call: Any = ast.parse(f"f({text})").body[0]
    return [*call.value.args, *call.value.keywords]


@dataclass(frozen=True)
class Mutant:
    """A module with one check deleted."""

    number: int
    """Of the check, among all places."""
    lines: range
    """Where it stood: nobody notices who runs none of them."""
    deleted: str
    tree: ast.Module


def mutants(source: str) -> list[Mutant]:
    """One for each check in `source`, in the order of the lines."""
    checks = [number for number, place in enumerate(places(ast.parse(source))) if place.is_check]
    return sorted((mutant(source, number) for number in checks), key=lambda mutant: mutant.lines[0])


def mutant(source: str, number: int) -> Mutant:
    """The one for the check of that number."""
    tree = ast.parse(source)
    place = [*places(tree)][number]
    check = place.node
    head = Place(check.test, "test", (place,)) if isinstance(check, ast.If) else place
    lines, deleted = range(place.lines[0], head.lines[-1] + 1), ast.unparse(check).partition("\n")[0]
    place.delete()
    return Mutant(number, lines, deleted, ast.fix_missing_locations(tree))


def _is_timeout(node: ast.Call) -> bool:
    return ast.unparse(node.func) == "asyncio.timeout"
