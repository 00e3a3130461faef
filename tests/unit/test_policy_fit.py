"""Policies that must not be published are found out, each by what is wrong with it."""

import re
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authorities.policy import decisions, fit
from authorities.policy.faults import faults
from authorities.policy.rules import rules_of
from authorities.policy.versions import Content, content_of
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.runtime import policy_of

REGISTRY = registry()
CONTENT = content_of(POLICIES)
TABLE = decisions.rows(CONTENT.table, REGISTRY)
DOOR = REGISTRY.authorities.registry
SENTENCE = '@description("Somebody may do something.")'
AN_ID = 'needs an @id of lower-case letters, digits and hyphens: @id("read-public")'
A_SENTENCE = "needs a @description of what it permits: one sentence, from a capital letter to a full stop"
GOOD = f'@id("one")\n{SENTENCE}\npermit (principal, action == Action::"document.read", resource);'


def problems(policies: str, schema: str = POLICY.cedar_schema, table: str = CONTENT.table) -> list[str]:
    content = Content.model_construct(policies={"one.cedar": policies}, cedar_schema=schema, table=table)
    return fit.problems(content, REGISTRY)


def with_condition(rule: str, old: str, new: str) -> str:
    """The policies with another condition in one rule."""
    before, head, after = POLICY.policies.partition(f'@id("{rule}")')
    assert old in after.partition("};")[0]
    return before + head + after.replace(old, new, 1)


def test_what_is_committed_may_be_published() -> None:
    assert problems(POLICY.policies) == []


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (GOOD, None),
        (GOOD.replace('@id("one")', ""), f"rule 1: {AN_ID}"),
        (GOOD.replace("one", "One rule"), f"One rule: {AN_ID}"),
        (GOOD.replace(SENTENCE, ""), f"one: {A_SENTENCE}"),
        (GOOD.replace("Somebody may", "It"), None),
        (GOOD.replace("thing.", "thing"), f"one: {A_SENTENCE}"),
        (
            GOOD.replace("thing.", "thing. And more."),
            f"one: {A_SENTENCE}",
        ),
        (GOOD.replace("something", "tool.read"), None),
        (
            GOOD.replace("permit", "forbid"),
            "one: forbids: write it as a condition of what permits, because Cedar skips a forbid that errs",
        ),
        (GOOD.replace(' == Action::"document.read"', ""), "one: permits every action: name those that are meant"),
        (
            GOOD.replace(";", ' when { context.scopes.contains("tool.erase") };'),
            "one: the registry knows no scope 'tool.erase': correct it, or add it to registry.yaml first",
        ),
        (
            GOOD.replace(";", ' when { ["tool.read", "tool.erase"].containsAny(context.scopes) };'),
            "one: the registry knows no scope 'tool.erase': correct it, or add it to registry.yaml first",
        ),
        (
            GOOD.replace("(principal,", '(principal == Party::"spiffe://agents.example/mallory",'),
            "one: the registry knows no party 'spiffe://agents.example/mallory'",
        ),
        (GOOD.replace("(principal,", '(principal == Party::"spiffe://agents.example/agent/reader",'), None),
        (f"{GOOD}\n{GOOD}", "one: another rule has this @id"),
    ],
)
def test_the_form_of_a_rule(rule: str, problem: str | None) -> None:
    assert [*fit.of_rules(rules_of(rule), REGISTRY)] == ([problem] if problem else [])


def test_a_row_that_is_decided_otherwise_is_named_with_its_line() -> None:
    wider = with_condition("read-own-department", "context.departments.contains(resource.department)", "true")

    found = problems(wider)

    lines = (POLICIES / decisions.FILE).read_text().splitlines()
    assert len(found) > 5
    for problem in found:
        [line, decided] = re.findall(
            r"^decisions\.md, line (\d+) \([^()]+, document\.read\): .* expected, yes by '(.*)' decided$", problem
        )[0]
        assert "read-own-department" in decided
        assert "document.read" in lines[int(line) - 1]


def test_a_rule_without_an_id_is_one_problem_also_if_rows_name_it() -> None:
    without = POLICY.policies.replace('@id("read-public")\n', "")
    assert without != POLICY.policies

    [problem] = problems(without)
    assert problem.endswith(AN_ID)
    wider = without.replace("context.departments.contains(resource.department)", "true")
    rows = [one for one in problems(wider) if one.startswith("decisions.md")]
    assert rows
    assert all("no by" in one and "yes by" in one for one in rows), "another answer does not follow from the id"


def test_a_rule_without_an_id_is_named_by_its_place_where_it_decides() -> None:
    line = POLICY.policies.count("\n") + 2
    unnamed = f"{POLICY.policies}\npermit (principal, action, resource);"

    rows = [one for one in problems(unnamed) if one.startswith("decisions.md")]

    assert f" by 'one.cedar, line {line}, a rule without an @id' decided" in "".join(rows)
    assert not re.search(r"policy\d", "".join(rows)), "Cedar's own names say nothing to anybody"
    first = (
        f'{POLICY.policies}\n@id("policy{len(rules_of(POLICY.policies)) + 1}")\npermit (principal, action, resource);'
    )
    both = [one for one in problems(f"{first}\npermit (principal, action, resource);") if "decided" in one]
    assert both
    assert not re.search(r"by '[^']*without an @id", "".join(both)), "where a rule has that name, it may be meant"


def test_rows_that_are_newly_permitted_come_first() -> None:
    wider = with_condition("read-own-department", "context.departments.contains(resource.department)", "true")
    fewer = wider.replace('in [Action::"document.replace", Action::"document.delete"]', '== Action::"document.read"')
    kinds = [re.findall(r": (yes|no) by .*, (yes|no) by", one)[0] for one in problems(fewer)]

    order = [("no", "yes"), ("yes", "no"), ("yes", "yes")]
    assert [*dict.fromkeys(kinds)] == order
    assert kinds == sorted(kinds, key=order.index)


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b"])
def test_a_row_begins_where_people_and_tools_see_a_line_of_the_file_begin(sign: str) -> None:
    with pytest.raises(decisions.TableError, match=r"^decisions\.md, line 1: a row of a table begins with"):
        decisions.rows(f"Nobody asks:{sign}| eve |\n", REGISTRY)


HEAD = "| user | groups |\n|---|---|\n| u | %s |\n| user | agent | scopes | asks for | at | answer | by | because |\n"
ROW = "| u | %s | %s | task.run | orchestrator | no | scope_missing | %s |\n"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (" | u | |", "line 1: a row of a table begins with `|` and ends with `|`; nothing else has one"),
        ("u | g", "line 1: a row of a table begins with `|` and ends with `|`; nothing else has one"),
        ("| u | g", "line 1: a row of a table begins with `|` and ends with `|`; nothing else has one"),
        ("> | u | g |", "line 1: a row of a table begins with `|` and ends with `|`; nothing else has one"),
        ("see <!--", "line 1: HTML is not read: remove the `<`"),
        (HEAD % "g" + "|--- | a |", "line 5: 2 cells, expected user | agent"),
        (HEAD % "g" + "| user | groups |\n| u | |", "line 6: the user 'u' is in a table above"),
        (HEAD % "g" + ROW % ("a", "a&#46;b", ""), "line 5: scopes is 'a&#46;b'"),
        (HEAD % "\u0430", "line 3: groups is '\u0430'"),
        (HEAD % ("g" * 301), "line 3: groups has 301 characters, and may have 300"),
        (HEAD % "g" + ROW % ("a", "b" * 301, ""), "line 5: scopes has 301 characters, and may have 300"),
        (HEAD % "g" + ROW % (" > ".join(map(str, range(9))), "a", ""), "line 5: 9 agents, and a token names 8"),
        (HEAD % "g" + ROW % ("a", "b", "") * 2001, "line 2005: more than 2,000 rows"),
    ],
    ids=range(13),
)
def test_a_table_is_what_people_see_of_it_and_has_bounds(table: str, why: str) -> None:
    with pytest.raises(decisions.TableError) as error:
        decisions.rows(table, REGISTRY)

    assert error.value.lines[0].startswith(f"decisions.md, {why}")


def test_lines_that_only_separate_and_reasons_in_words_are_free() -> None:
    table = HEAD % "g" + "|---|:---:| ---: | - |  \n" + ROW % ("a > b", "x*", "caf\xe9 & co" + "!" * 400)
    [row] = decisions.rows(table, REGISTRY)

    assert row.because == "caf\xe9 & co" + "!" * 400


@pytest.mark.parametrize("only", [True, False])
def test_a_table_of_one_answer_proves_nothing(only: bool) -> None:
    rows = [row for row in TABLE if row.allowed is only]

    assert [*fit.of_table(policy_of(POLICY, REGISTRY), rows)] == ["decisions.md needs rows with yes and rows with no"]
    assert [*fit.of_table(policy_of(POLICY, REGISTRY), [])] == ["decisions.md needs rows with yes and rows with no"]


def test_policies_that_refuse_every_call() -> None:
    refused = "every call that the registry allows is refused"

    assert refused in problems(GOOD)
    assert [*fit.of_calls(policy_of(POLICY.model_copy(update={"policies": ""}), REGISTRY), REGISTRY)] == [refused]
    assert [*fit.of_calls(policy_of(POLICY, REGISTRY), REGISTRY)] == []


RULE = f'@id("more")\n{SENTENCE}\npermit (principal, action %s, resource)\n'
ADMIN, REPLACE = '== Action::"registry.admin"', '== Action::"document.replace"'
FOR_ADMIN = ["more: registry.admin is for people: it needs the condition `!context.delegated`"]
FOR_POLICIES = ["more: policy.admin is for people: it needs the condition `!context.delegated`"]
FOR_REPLACE = ["more: to replace what is published is for people: it needs the condition `!context.delegated`"]
PEOPLE = [
    # action, condition, problems
    (ADMIN, "when { true }", FOR_ADMIN),
    (ADMIN, 'when { context.subject == "mallory" }', FOR_ADMIN),
    (ADMIN, 'when { !context.delegated || context.subject == "mallory" }', FOR_ADMIN),
    (ADMIN, "when { context.delegated }", FOR_ADMIN),
    (ADMIN, "unless { !context.delegated }", FOR_ADMIN),
    (ADMIN, "when { !context.one_department }", FOR_ADMIN),
    (ADMIN, "when { true && (!context.delegated && true) }", []),
    (ADMIN, "when { true } when { !context.delegated }", []),
    (ADMIN, "unless { context.delegated }", []),
    ('in [Action::"task.run", Action::"registry.admin"]', "when { true }", FOR_ADMIN),
    (REPLACE, 'when { resource.owner like "a*" }', FOR_REPLACE),
    (REPLACE, 'when { resource == Document::"ENG-104" }', FOR_REPLACE),
    (REPLACE, 'when { resource.state == "published" }', FOR_REPLACE),
    (REPLACE, 'when { resource.state != "draft" }', FOR_REPLACE),
    (REPLACE, 'when { resource.owner == "draft" }', FOR_REPLACE),
    (REPLACE, 'when { resource.state == "draft" || true }', FOR_REPLACE),
    (REPLACE, 'unless { resource.state == "draft" }', FOR_REPLACE),
    (REPLACE, 'when { resource.state == "draft" }', []),
    (REPLACE, 'when { "draft" == resource.state }', []),
    (REPLACE, "when { !context.delegated }", []),
    ('in [Action::"document.read", Action::"document.replace"]', "when { true }", FOR_REPLACE),
    ("", "when { true }", FOR_ADMIN + FOR_POLICIES + FOR_REPLACE),
    ("", "when { !context.delegated }", []),
    ('== Action::"document.read"', "when { true }", []),
    ('in Action::"use"', "when { true }", []),
]


@pytest.mark.parametrize(("action", "condition", "found"), PEOPLE, ids=[f"{one} {two}" for one, two, _ in PEOPLE])
def test_what_only_people_may_do_needs_a_condition_that_says_so(action: str, condition: str, found: list[str]) -> None:
    """Also where no row of the table asks for it."""
    rules = rules_of(f"{RULE % action}{condition};")

    assert [*fit.of_people(POLICY, REGISTRY, rules)] == found


def test_it_is_found_as_well_where_the_schema_puts_the_action_into_a_group() -> None:
    both = 'action "registry.admin", "policy.admin"'
    schema = POLICY.cedar_schema.replace(both, f'{both} in [Action::"use"]')
    assert schema != POLICY.cedar_schema

    found = problems(POLICY.policies, schema)
    assert "one.cedar, line 4, rule use-an-api: registry.admin is for people: it needs the condition" in "\n".join(
        found
    )


@pytest.mark.parametrize("rule", ["operate", "operate-policies", "replace-published-in-person"])
def test_the_rules_for_people_keep_their_condition(rule: str) -> None:
    policies = with_condition(rule, "!context.delegated", "true")

    assert [problem for problem in problems(policies) if f", rule {rule}: " in problem and "for people" in problem]


SOME_OPERATORS = [
    '!context.groups.containsAll(["/engineering", "/finance"])',
    'context.subject == "anybody"',
    '["anybody", "mallory"].contains(context.subject)',
    'context.groups == ["/operators"]',
    "context.departments.isEmpty()",
    "!context.departments.isEmpty()",
    'context.departments.contains("/engineering")',
]
"""Conditions that some operators meet, and others do not."""


def test_policies_that_no_operator_could_take_back_are_not_published() -> None:
    rule = POLICY.policies[POLICY.policies.index('@id("operate-policies")') :]

    def of_operators(policies: str) -> list[str]:
        return [*fit.of_operators(policy_of(POLICY.model_copy(update={"policies": policies}), REGISTRY), REGISTRY)]

    told = ["an operator could not use policy.admin any more, and so could not roll these policies back"]
    assert of_operators(rule) == []
    assert of_operators(GOOD) == told
    assert of_operators(rule.replace('"/operators"', '"/security"')) == told
    assert of_operators(rule.replace("!context.delegated", "context.delegated")) == told
    for condition in SOME_OPERATORS:
        assert of_operators(rule.replace("!context.delegated", f"!context.delegated && {condition}")) == told


def test_no_known_operator_is_left_out() -> None:
    """Of the decision table, and who has activated a version: none of them by a random id."""
    operators = CONTENT.policies["operators.cedar"]
    start = operators.index('@id("operate-policies")')
    told = "an operator could not use policy.admin any more, and so could not roll these policies back"
    for subject, known in (("omar", ()), ("5f0c", ("5f0c",))):
        rule = operators[start:].replace("!context.delegated", f'!context.delegated && context.subject != "{subject}"')
        files = CONTENT.policies | {"operators.cedar": operators[:start] + rule}
        assert told in fit.problems(CONTENT.model_copy(update={"policies": files}), REGISTRY, known)


INTO = 'action "document.replace"'
ODD = r"grp\"], resource) when { false }; //"
OF_A_GROUP = f'@id("more")\n{SENTENCE}\npermit (principal, action in %s, resource);'
GROUPS = {
    "a name that ends the rule by which it is tried": (f'Action::"{ODD}"', f'action "{ODD}", grp;', f'"{ODD}"'),
    "a namespace": ('N::Action::"grp"', "namespace N { action grp; }", 'N::Action::"grp"'),
}


@pytest.mark.parametrize("how", GROUPS)
def test_an_action_is_not_taken_for_another_one(how: str) -> None:
    """A group of actions in which `document.replace` is, and a rule that permits that group."""
    named, declared, group = GROUPS[how]
    schema = POLICY.cedar_schema.replace(INTO, f"{INTO} in [{group}]") + declared
    found = problems(POLICY.policies + OF_A_GROUP % named, schema)

    assert [problem for problem in found if ", rule more: the action " in problem]
    assert [problem for problem in found if problem.startswith("the schema ")]


HIDDEN = {
    "y.cedar": f'@id("operate-too")\n{SENTENCE}\npermit (principal, action == Action::"policy.admin", resource)\n'
    'when { context.scopes.contains("policy.admin") } when { "',
    "z.cedar": '// " != "" && context.subject == "mallory" }; // nobody\n@k(" != context.subject }\n'
    f'when {{ !context.delegated }}; // ")\n{GOOD}',
}
"""Each file, read alone by its quotes, has a rule with `!context.delegated`; together they have one without it."""


def test_files_that_are_other_rules_alone_than_together_are_refused_and_the_rules_together_are_judged() -> None:
    both = CONTENT.model_copy(update={"policies": CONTENT.policies | HIDDEN})
    told = fit.problems(both, REGISTRY)

    assert told[0].startswith("y.cedar, line 4, rule operate-too: a text has no closing quote on its line")
    judged = fit.placed_rules(both)
    signed = rules_of(both.document.policies)
    assert [replace(rule, place="") for rule in judged] == [replace(rule, place="") for rule in signed]
    assert any(
        "operate-too: policy.admin is for people" in one for one in fit.of_people(both.document, REGISTRY, judged)
    )


def test_files_with_another_number_of_rules_than_they_have_together_are_refused() -> None:
    files = {"a.cedar": 'permit (principal, action, resource) when { "', "b.cedar": ';;" == "" };'}
    content = CONTENT.model_copy(update={"policies": files})
    assert len(rules_of(content.document.policies)) == 1

    with pytest.raises(ValueError, match="longer"):
        fit.placed_rules(content)
    with patch.object(fit, "faults", return_value=[]):
        [told] = fit.problems(content, REGISTRY)
    assert told.startswith("the policies do not fit: ")


PIECES = [
    "\n",
    " ",
    '"',
    "//",
    ";",
    "\\",
    '// it\'s "so";\n',
    '@k("a;b")',
    '@k("//") ',
    "permit (principal, action, resource)",
]
RULES = [
    "permit (principal, action, resource);",
    'permit (principal, action, resource) when { "//" != ";" };\n',
    '@k("\\"") permit (principal, action, resource); // "',
]
texts = st.lists(st.sampled_from([*RULES * 3, *PIECES]), max_size=6).map("".join)


@given(st.dictionaries(st.sampled_from(["a.cedar", "b.cedar", "c.cedar"]), texts, min_size=1))
@example(HIDDEN)
def test_files_that_are_cedar_one_by_one_are_the_same_rules_together(files: dict[str, str]) -> None:
    assume(not [*faults(files, POLICY.cedar_schema)])
    content = CONTENT.model_copy(update={"policies": files})
    alone = [rule for name in sorted(files) for rule in rules_of(files[name])]

    judged = fit.placed_rules(content)
    assert [replace(rule, place="") for rule in judged] == [replace(rule, place="") for rule in alone]
    assert [rule.place.partition(",")[0] for rule in judged] == [
        name for name in sorted(files) for _ in rules_of(files[name])
    ]


def test_a_rule_without_its_conditions_is_about_the_same_actions() -> None:
    [rule] = rules_of(OF_A_GROUP % f'Action::"{ODD}"')

    assert rules_of(rule.unconditional)[0].actions == rule.actions == ('grp"], resource) when { false }; //',)
