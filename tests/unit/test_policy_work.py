"""Policies and schemas of a few kilobytes that would take seconds of a party's event loop are refused unread."""

import pytest

from tests.support.system import POLICY
from zerotrust.policy import CedarPolicy, PolicyError
from zerotrust.policy_work import NO_CODE, too_much

POLICIES, SCHEMA = POLICY.policies, POLICY.cedar_schema
ANY = "permit (principal, action, resource);"
KINDS = ",".join(f"E{number}" for number in range(60))
MANY_KINDS = f"entity {KINDS}; action a, b, c appliesTo {{ principal: [{KINDS}], resource: [{KINDS}], context: {{}} }};"
TWICE = "".join(f"type T{number} = {{a: T{number - 1}, b: T{number - 1}}};" for number in range(1, 20))
ERRS = "permit (principal, action, resource) when {" + "&&".join(["context.groupz"] * 90) + "};"
HEAVY = {
    "many kinds with many actions": (ANY, MANY_KINDS, "actions and their kinds"),
    "kinds in a list over several lines": (ANY, MANY_KINDS.replace(",", ", // ]\n"), "actions and their kinds"),
    "common types that double": (ANY, "type T0 = {a: Long, b: Long};" + TWICE, "a common type"),
    "a common type for an attribute": (ANY, "type T = {a: Long}; entity E {a: T, b: Long};", "a common type"),
    "a common type twice": (
        ANY,
        "type T = {a: Long}; action a appliesTo { principal: E, resource: E, context: {a: T, b: T} };",
        "a common type",
    ),
    "a common type named context": (
        ANY,
        "type T = {a: Long}; type U = {context: T, b: {context: T}};",
        "a common type",
    ),
    "actions in actions": (ANY, "".join(f"action a{n} in [a{n - 1}];" for n in range(1, 200)), "more than 250 names"),
    "many policies": (ANY * 101, SCHEMA, "more than 100 policies"),
    "long policies for many actions": (ERRS * 5, SCHEMA, "operators and commas"),
    "long names": (
        f'{ANY} // {{\n@id("{"a" * 20_000}") {ANY}',
        SCHEMA + f'entity E {{ "{"b" * 2000}": Long }};',
        "char",
    ),
    "a template": ("permit (principal == ?principal, action, resource);", SCHEMA, "a template"),
}


@pytest.mark.parametrize("how", HEAVY)
def test_what_would_be_much_work_is_refused(how: str) -> None:
    policies, schema, why = HEAVY[how]

    with pytest.raises(PolicyError, match=f"^policies: .*{why}"):
        CedarPolicy(policies=policies, schema=schema, entities=[])


def test_ours_may_grow_by_half() -> None:
    more = "".join(f'action "more.{letter}" in [Action::"use"];' for letter in "abcdef")

    assert too_much(POLICIES, SCHEMA) is None
    assert too_much(POLICIES + POLICIES[: len(POLICIES) // 2], SCHEMA + more) is None


def test_what_is_a_comment_or_a_text_is_no_work() -> None:
    texts = "// , ; ? && \n" * 500 + f'@description("{"?;,&&" * 50}") {ANY}'

    assert too_much(texts, SCHEMA + "// type T; T, T, T;\n" * 300) is None


@pytest.mark.parametrize("end", ["", "\\"])
def test_a_text_that_nothing_closes_is_looked_through_once(end: str) -> None:
    """Else 64 KiB of escaped quotes take 16 s."""
    assert NO_CODE.sub("", 'permit"' + '\\"' * 100 + end) == "permit"
