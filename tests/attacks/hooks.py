"""What a control can be replaced by: a hook changes the statement, or the part of it, that has the control's id.

A hook names no text of the product, so that renamed or moved code keeps it.  Selectors find a part by its kind and its
number among its like: `operand(-1, DROP)` drops the last operand of the statement's first `and` or `or`.  An expression
(`code`) in the place of code has the local variables there, and a function gets those that its parameters name; `was`
is the value that it replaces.  Those of the catalogue are in `instead.py`: each with its controls, and with the hook
that puts it there.  What a hook needs and does not find raises `NoSuchControl`.
"""

import ast
import builtins
import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from lab.deletion import Place, places
from lab.without import Hook, NoSuchControl

Function = Callable[..., Any]


class code(str):  # noqa: N801 - it is used as a function
    """An expression in the place of code."""

    __slots__ = ()


# What can stand in the place of a statement


def SKIP(place: Place, _line: int) -> None:  # noqa: N802 - hooks without arguments are constants of the table
    """Do not run the statement."""
    place.put(ast.Pass())


def GO_ON(place: Place, _line: int) -> None:  # noqa: N802
    """Go on with the next turn of the loop, whatever the statement says."""
    place.put(ast.Continue())


def PASS_OVER(place: Place, _line: int) -> None:  # noqa: N802
    """Where the condition holds, go on with the next turn of the loop."""
    _only(place, ast.If).body = [ast.Continue()]


def UNWRAP(place: Place, _line: int) -> None:  # noqa: N802
    """Run the body without the context."""
    place.put(*_only(place, ast.With).body)


def returns(result: object) -> Hook:
    """Return this instead: a constant, or the value of an expression or of a function."""
    return partial(_return, result)


def _return(result: object, place: Place, _line: int) -> None:
    place.put(ast.Return(_result(result, place)))


def sets(name: str, value: str) -> Hook:
    """Set a local variable to the value of an expression."""
    return partial(_set, name, code(value))


def _set(name: str, value: code, place: Place, _line: int) -> None:
    place.put(ast.Assign([ast.Name(name, ast.Store())], _result(value, place)))


def unless(test: str) -> Hook:
    """Run the statement only where an expression is false."""
    return partial(_unless, code(test))


def _unless(test: code, place: Place, _line: int) -> None:
    statement: Any = place.node
    place.put(ast.If(ast.UnaryOp(ast.Not(), _result(test, place)), [statement], []))


# What can stand in the place of a value


def gives(result: object) -> Hook:
    """Have this in the place of what is assigned, returned or tested: a constant, or a value as for `returns`."""
    return partial(_give, result)


def _give(result: object, place: Place, _line: int) -> None:
    value = _value(place)
    value.put(_result(result, value))


def DROP(place: Place, _line: int) -> None:  # noqa: N802
    """Delete this part."""
    place.delete()


def WHOLE(place: Place, line: int) -> None:  # noqa: N802
    """Take all elements, and not a slice of them."""
    sliced = _first(place, line, ast.Subscript)
    sliced.put(_only(sliced, ast.Subscript).value)


def FIRST_TERM(place: Place, line: int) -> None:  # noqa: N802
    """Have the left side of an arithmetic operation alone."""
    sum_ = _first(place, line, ast.BinOp)
    sum_.put(_only(sum_, ast.BinOp).left)


TRUE, FALSE = gives(result=True), gives(result=False)


# Other calls


def calls(function: Function) -> Hook:
    """Call the function with the called one, its arguments, and the local variables that keyword-only parameters name.

    A method has the object that it belongs to as `__self__`.
    """
    return partial(_call, function)


def _call(function: Function, place: Place, line: int) -> None:
    made = _first(place, line, ast.Call)
    old = _only(made, ast.Call)
    parameters = inspect.signature(function).parameters.values()
    names = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    local = [ast.keyword(name, _local(name, place)) for name in names]
    made.put(ast.Call(_reference(function), [old.func, *old.args], [*old.keywords, *local]))


def gives_argument(number: int) -> Hook:
    """Give back this argument, and do not call."""
    return partial(_give_argument, number)


def _give_argument(number: int, place: Place, line: int) -> None:
    made = _first(place, line, ast.Call)
    awaited = made.above[0] if isinstance(made.parent, ast.Await) else made
    awaited.put(_only(made, ast.Call).args[number])


def with_arguments(**constants: object) -> Hook:
    """Call with these arguments, in the place of those of the same names or in addition."""
    return partial(_with_arguments, constants)


def _with_arguments(constants: dict[str, object], place: Place, line: int) -> None:
    called = _only(_first(place, line, ast.Call), ast.Call)
    kept = [one for one in called.keywords if one.arg not in constants]
    called.keywords = kept + [ast.keyword(name, _constant(value)) for name, value in constants.items()]


# Where it is


def condition(hook: Hook) -> Hook:
    """At what an `if`, a filter or a guard tests."""
    return partial(_at, "condition", 0, hook)


def operand(number: int, hook: Hook) -> Hook:
    """At an operand of `and` or `or`."""
    return partial(_at, "values", number, hook)


def element(number: int, hook: Hook) -> Hook:
    """At an element of a tuple, a list or a set."""
    return partial(_at, "elts", number, hook)


def argument(which: int | str, hook: Hook) -> Hook:
    """At an argument of a call: at a place, or of a name."""
    return partial(_at, "args", which, hook)


def index(hook: Hook) -> Hook:
    """At what is looked up in `[...]`."""
    return partial(_at, "slice", 0, hook)


def call(number: int, hook: Hook) -> Hook:
    """At one of several calls, in the order of the source: an outer one comes before those inside it."""
    return partial(_at, "call", number, hook)


_CONDITIONS = "test", "ifs", "guard"
_WITH_VALUE: Any = (
    ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr | ast.NamedExpr | ast.keyword | ast.Starred
)


def _at(what: str, which: int | str, hook: Hook, place: Place, line: int) -> None:
    match what:
        case "condition":
            found = _on(line, [part for part in _parts(place) if part.field in _CONDITIONS])[:1]
        case "call":
            found = [part for part in _parts(place) if isinstance(part.node, ast.Call)]
        case "slice":
            found = [part for part in _parts(place) if part.field == "slice"][:1]
        case _:
            kind = {"values": ast.BoolOp, "elts": ast.Tuple | ast.List | ast.Set, "args": ast.Call}[what]
            whole = _first(place, line, kind)
            inner = [*places(whole.node, whole, *whole.above)]
            found = [one for one in inner if one.parent is whole.node and one.field in {what, "keywords"}]
    if isinstance(which, str):
        found, which = [one for one in found if getattr(one.node, "arg", None) == which], 0
    try:
        chosen = found[which]
    except IndexError:
        raise NoSuchControl(f"{ast.unparse(place.node)} has no {what} {which}") from None
    hook(chosen, line)


HOLDS, FAILS = condition(TRUE), condition(FALSE)
"""The condition always holds, or never; it is not looked at."""


def _parts(place: Place) -> list[Place]:
    """Return a place and all inside it, without the statements inside a statement."""
    return [place, *places(place.node, place, *place.above, but=ast.stmt)]


def _on(line: int, found: list[Place]) -> list[Place]:
    """Return those that begin at a line, or all where none does."""
    return [one for one in found if one.lines[:1] == range(line, line + 1)] or found


def _first(place: Place, line: int, kind: Any) -> Place:
    """Return the first part of a kind that is read, and not assigned to."""
    found = [one for one in _parts(place) if isinstance(one.node, kind)]
    found = [one for one in found if not isinstance(getattr(one.node, "ctx", None), ast.Store)]
    if not found:
        raise NoSuchControl(f"{ast.unparse(place.node)} has no part that the hook is for")
    return _on(line, found)[0]


def _only(place: Place, kind: type[ast.AST]) -> Any:
    if not isinstance(place.node, kind):
        raise NoSuchControl(f"{ast.unparse(place.node)} is no {kind.__name__}")
    return place.node


def _value(place: Place) -> Place:
    """Return the expression that a statement assigns, returns or tests, or that a part consists of."""
    node: Any = place.node
    if isinstance(node, _WITH_VALUE):
        return Place(node.value, "value", (place, *place.above))
    if isinstance(node, ast.If):
        return _value(Place(node.test, "test", (place, *place.above)))
    return place


def _result(result: object, place: Place) -> Any:
    """Return the expression for a constant, or for the value of an expression or of a function."""
    if isinstance(result, code):
        return _expression(result, place)
    if not callable(result):
        return _constant(result)
    names = inspect.signature(result).parameters
    arguments: list[Any] = [place.node if name == "was" else _local(name, place) for name in names]
    made = ast.Call(_reference(result), arguments, [])
    return ast.Await(made) if inspect.iscoroutinefunction(result) else made


def _expression(text: str, place: Place) -> Any:
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)} | {"was", *dir(builtins)}
    for name in {name.id for name in names} - own:
        _local(name, place)
    replaced = re.sub(r"\bwas\b", lambda _: f"({ast.unparse(place.node)})", text)
    return ast.parse(replaced, mode="eval").body


def _constant(value: object) -> Any:
    return ast.parse(repr(value), mode="eval").body


def _reference(function: Function) -> ast.expr:
    module, name = function.__module__, function.__name__
    return ast.parse(f"__import__({module!r}, fromlist=[{name!r}]).{name}", mode="eval").body


def _local(name: str, place: Place) -> ast.expr:
    """Return a local variable.  Raises `NoSuchControl` where the function around the place has none of that name."""
    for above in place.above:
        if isinstance(above.node, ast.FunctionDef | ast.AsyncFunctionDef) and name in {*_names(above.node)}:
            return ast.Name(name, ast.Load())
    raise NoSuchControl(f"there is no variable {name} at {ast.unparse(place.node)}")


def _names(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
