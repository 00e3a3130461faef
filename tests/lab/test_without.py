"""A control is taken away for a block, and only that one."""

import ast
from pathlib import Path

import pytest

from lab import without as lab
from lab.without import Control, NoSuchControl, controls, where, without
from tests.attacks.hooks import DROP, argument, returns
from tests.support.system import POLICY, registry
from zerotrust.limits.strict_json import strict_object
from zerotrust.runtime import policy_of

NAMES_UNIQUE = Control("json-names-unique")
TWICE = b'{"a": 1, "a": 2}'


def test_the_check_is_gone_inside_and_there_again_outside() -> None:
    with without(NAMES_UNIQUE):
        assert strict_object(TWICE) == {"a": 2}
        with pytest.raises(ValueError, match="not an object"):
            strict_object(b"[]")

    with pytest.raises(ValueError, match="twice"):
        strict_object(TWICE)


def test_it_is_there_again_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), without(NAMES_UNIQUE):
        raise ZeroDivisionError

    with pytest.raises(ValueError, match="twice"):
        strict_object(TWICE)


def test_something_else_can_stand_in_its_place() -> None:
    with without(Control("json-names-unique", returns({"b": 3}))):
        assert strict_object(TWICE) == {"b": 3}


def test_a_condition_of_a_policy_is_true_without_it() -> None:
    line = 'context.groups.contains("/operators") &&  // control: operator-in-group'
    text = POLICY.policies.replace(line, "true &&")
    with without(Control("operator-in-group")):
        weakened = policy_of(POLICY, registry())

    assert weakened.version == policy_of(POLICY.model_copy(update={"policies": text}), registry()).version
    assert weakened.version != policy_of(POLICY, registry()).version


def test_it_is_said_where_a_control_is() -> None:
    assert where(NAMES_UNIQUE) == "zerotrust/limits/strict_json.py _unique"


@pytest.mark.parametrize("control", [Control("never"), Control("json-names-unique", argument("never", DROP))])
def test_what_is_not_there_is_not_taken_for_taken_away(control: Control) -> None:
    with pytest.raises(NoSuchControl, match=r"occurs 0 times|has no"), without(control):
        raise AssertionError


SOURCE = """
def f(a):
    if a:  # control: statement
        b = g(a)
    return (
        a.b == "a"  # control: operand
        and h(
            a,
            b=1,  # control: argument
        )
    )  # control: end
    # control: above
    return a, b
"""


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("statement", "if a:"),
        ("operand", "a.b == 'a'"),
        ("argument", "b=1"),
        ("end", "return a.b == 'a' and h(a, b=1)"),
        ("above", "return (a, b)"),
    ],
)
def test_an_id_is_that_of_a_part_that_is_alone_on_its_line_or_of_a_statement(
    name: str, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zerotrust").mkdir()
    (tmp_path / "zerotrust" / "f.py").write_text(SOURCE)
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    (_, line), *_ = controls.__wrapped__()[name]

    taken = lab._taken(ast.parse(SOURCE), line)

    assert ast.unparse(taken.node).partition("\n")[0] == gone
