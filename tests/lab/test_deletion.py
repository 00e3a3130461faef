"""What is deleted from a piece of source, and what is left of it."""

import ast

import pytest

from lab.deletion import mutants

CHECKED = """
def answer(x):
    if x < 1:
        raise ValueError
    return x
"""


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("if x:\n    raise E", ["x"]),
        ("if (y := x):\n    raise E", ["(y := x)"]),
        ("if x:\n    a()\nelse:\n    b = 1", ["if x:\n    pass\nelse:\n    b = 1"]),
        ("a = x or y", ["a = y", "a = x"]),
        ("a = x and y and z", ["a = y and z", "a = x and z", "a = x and y"]),
        ("a = (b := x) and y", ["a = ((b := x) or True) and y", "a = (b := x)"]),
        ("a = x or (b := y)", ["a = (b := y)", "a = x or ((b := y) and False)"]),
        ("check(x)", ["pass"]),
        ("await record(x)", ["pass"]),
        ('"a docstring"', []),
        ("try:\n    a = 1\nexcept E as e:\n    raise R from e", ["try:\n    a = 1\nexcept E as e:\n    raise"]),
        ("a = [x for x in y if x]", ["a = [x for x in y]"]),
        ("a = f(x, strict=True, size=1)", ["a = f(x, size=1)"]),
        ("a = Field(ge=0)", ["a = Field()"]),
        ("a = asyncio.timeout(3)", ["a = asyncio.timeout(None)"]),
        ("raise E", []),
    ],
)
def test_one_check_is_deleted_at_a_time(source: str, left: list[str]) -> None:
    assert [ast.unparse(mutant.tree) for mutant in mutants(source)] == left


def test_a_mutant_says_what_it_lacks_and_where() -> None:
    (mutant,) = mutants(CHECKED)

    assert (mutant.lines, mutant.deleted) == (range(3, 4), "if x < 1:")
    assert ast.unparse(mutant.tree).splitlines()[1] == "    x < 1"
