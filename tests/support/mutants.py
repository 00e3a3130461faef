"""Every check in a piece of source, deleted: one mutant for each.  Pure.

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

FIELDS = {"Field", "ConfigDict", "SettingsConfigDict"}
LAYOUT = {"slots", "kw_only", None}
"""How a class is built, not what it checks."""


@dataclass(frozen=True)
class Mutant:
    """A module with one check deleted."""

    lines: range
    """Where it stood: nobody notices who runs none of them."""
    deleted: str
    tree: ast.Module

    @property
    def line(self) -> int:
        """Where it began."""
        return self.lines[0]

    def __str__(self) -> str:
        return f"{self.line}: {self.deleted}"


def mutants(source: str) -> Iterator[Mutant]:
    """One for each check in `source`, in the order of the lines."""
    found: list[Mutant] = []
    number = 0
    while True:
        deletion = _Deletion(number)
        tree = deletion.visit(ast.parse(source))
        if deletion.lines is None:
            return (yield from sorted(found, key=lambda mutant: mutant.line))
        found.append(Mutant(deletion.lines, deletion.deleted, ast.fix_missing_locations(tree)))
        number += 1


class _Deletion(ast.NodeTransformer):
    """Deletes the check of that number and leaves the others."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._answering = False
        self.lines: range | None = None
        self.deleted = ""

    def _hit(self, check: ast.stmt | ast.expr | ast.keyword) -> bool:
        self._left -= 1
        if self._left != -1:
            return False
        head = check.test if isinstance(check, ast.If) else check
        self.lines = range(check.lineno, (head.end_lineno or check.lineno) + 1)
        self.deleted = ast.unparse(check).partition("\n")[0]
        return True

    def visit_If(self, node: ast.If) -> ast.AST:
        if not node.orelse and self._hit(node):
            return ast.Expr(node.test)  # it may give a name to something
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        for number, operand in enumerate(node.values):
            if self._hit(operand):
                rest = node.values[:number] + node.values[number + 1 :]
                if any(
                    isinstance(part, ast.NamedExpr) for part in ast.walk(operand)
                ):  # the name is needed, its worth not
                    and_or, worth = (ast.Or(), True) if isinstance(node.op, ast.And) else (ast.And(), False)
                    rest = [*node.values]
                    rest[number] = ast.BoolOp(and_or, [operand, ast.Constant(worth)])
                return ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call | ast.Await) and self._hit(node):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self._answering = True
        node = self.generic_visit(node)  # type: ignore[assignment]
        self._answering = False
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise() if self._answering and node.exc and self._hit(node) else self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        for number, condition in enumerate(node.ifs):
            if self._hit(condition):
                return ast.comprehension(
                    node.target, node.iter, node.ifs[:number] + node.ifs[number + 1 :], node.is_async
                )
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func)
        if name == "asyncio.timeout" and self._hit(node):
            return ast.Call(node.func, [ast.Constant(None)], [])
        for number, keyword in enumerate(node.keywords):
            switch = isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)
            if (switch or name in FIELDS) and keyword.arg not in LAYOUT and self._hit(keyword):
                return ast.Call(node.func, node.args, node.keywords[:number] + node.keywords[number + 1 :])
        return self.generic_visit(node)
