"""A hook changes the part that it names by its kind and its number."""

import ast
from collections.abc import Sequence

import pytest

from lab.deletion import places
from lab.without import Hook, NoSuchControl
from tests.attacks import hooks


def given(a: object) -> object:
    return a


def replaced(was: object, a: object) -> Sequence[object]:
    return [was, a]


def called(function: object, *_: object, b: object) -> Sequence[object]:
    return [function, b]


async def awaited(a: object) -> object:
    return a


def after(hook: Hook, statement: str) -> str:
    """Return a statement, which is in a loop of a function with the variables a and b, after a hook."""
    tree = ast.parse(f"async def f(a):\n  for b in a:\n    {statement}")
    place = next(one for one in places(tree) if isinstance(one.node, ast.stmt) and one.lines == range(3, 4))
    hook(place, 3)
    return " ".join(ast.unparse(ast.fix_missing_locations(tree)).partition("for b in a:\n")[2].split())


@pytest.mark.parametrize(
    ("hook", "before", "changed"),
    [
        (hooks.SKIP, "g(a)", "pass"),
        (hooks.GO_ON, "g(a)", "continue"),
        (hooks.PASS_OVER, "if a: g(a)", "if a: continue"),
        (hooks.UNWRAP, "with a: g(a)", "g(a)"),
        (hooks.returns(1), "g(a)", "return 1"),
        (hooks.gives("c"), "x = g(a)", "x = 'c'"),
        (hooks.gives("c"), "return g(a)", "return 'c'"),
        (hooks.HOLDS, "if a > b: g(a)", "if True: g(a)"),
        (hooks.FAILS, "return a if b else c", "return a if False else c"),
        (hooks.condition(hooks.DROP), "x = [y for y in a if y > b]", "x = [y for y in a]"),
        (hooks.operand(1, hooks.DROP), "x = a and b and c", "x = a and c"),
        (hooks.operand(-1, hooks.DROP), "x = a or b", "x = a"),
        (hooks.element(0, hooks.DROP), "x, y = (a, b)", "x, y = (b,)"),
        (hooks.argument(0, hooks.DROP), "g(a, b, c=d)", "g(b, c=d)"),
        (hooks.argument("c", hooks.DROP), "g(a, c=d)", "g(a)"),
        (hooks.call(1, hooks.argument(0, hooks.gives(1))), "g(h(a))", "g(h(1))"),
        (hooks.index(hooks.gives("c")), "return a[b]", "return a['c']"),
        (hooks.WHOLE, "return a[b:]", "return a"),
        (hooks.FIRST_TERM, "x = a + b - c", "x = a + b"),
        (hooks.gives_argument(1), "x = await g(a, b)", "x = b"),
        (hooks.with_arguments(c=1), "g(a, c=2, **d)", "g(a, **d, c=1)"),
    ],
)
def test_what_a_hook_does(hook: Hook, before: str, changed: str) -> None:
    assert after(hook, before) == changed


@pytest.mark.parametrize(
    ("hook", "before", "end"),
    [
        (hooks.gives(given), "x = g(a)", ".given(a)"),
        (hooks.gives(awaited), "x = g(a)", ".awaited(a)"),
        (hooks.gives(replaced), "x = g(a)", ".replaced(g(a), a)"),
        (hooks.calls(called), "x = g(a, c=1)", ".called(g, a, c=1, b=b)"),
        (hooks.returns(given), "raise g", ".given(a)"),
        (hooks.unless(given), "g(b)", ".given(a): g(b)"),
        (hooks.sets(given), "g(b)", ".given(a)"),
    ],
)
def test_a_function_gets_what_its_parameters_name(hook: Hook, before: str, end: str) -> None:
    assert after(hook, before).endswith(end)


@pytest.mark.parametrize(
    ("hook", "statement"),
    [
        (hooks.PASS_OVER, "g(a)"),
        (hooks.operand(2, hooks.DROP), "x = a and b"),
        (hooks.operand(0, hooks.DROP), "x = a"),
        (hooks.argument("c", hooks.DROP), "g(a)"),
        (hooks.condition(hooks.DROP), "g(a)"),
        (hooks.calls(called), "x = a"),
        (hooks.gives(lambda unknown: unknown), "x = a"),
    ],
)
def test_a_part_that_is_not_there_is_told(hook: Hook, statement: str) -> None:
    with pytest.raises(NoSuchControl):
        after(hook, statement)
