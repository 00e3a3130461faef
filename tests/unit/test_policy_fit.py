"""Policies that must not be published are found out, each by what is wrong with it."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authorities.policy import decisions, fit
from authorities.policy.rules import rules_of
from authorities.policy.versions import Content, content_of
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.runtime import policy_of

REGISTRY = registry()
CONTENT = content_of(POLICIES)
TABLE = decisions.read_rows(CONTENT.table, REGISTRY)
SENTENCE = '@description("Somebody may do something.")'
AN_ID = 'needs an @id of lower-case letters, digits and hyphens: @id("read-public")'
A_SENTENCE = "needs a @description of what it permits: one sentence, from a capital letter to a full stop"
GOOD = f'@id("one")\n{SENTENCE}\npermit (principal, action == Action::"document.read", resource);'


def problems(policies: str, schema: str = POLICY.cedar_schema, table: str = CONTENT.table) -> list[str]:
    content = Content.model_construct(policies={"one.cedar": policies}, cedar_schema=schema, table=table)
    return fit.problems(content, REGISTRY)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (GOOD, None),
        (GOOD.replace('@id("one")', ""), f"rule 1: {AN_ID}"),
        (GOOD.replace("one", "One rule"), f"One rule: {AN_ID}"),
        (GOOD.replace(SENTENCE, ""), f"one: {A_SENTENCE}"),
        (GOOD.replace("Somebody may", "It"), None),
        (GOOD.replace("thing.", "thing"), f"one: {A_SENTENCE}"),
        (GOOD.replace("thing.", "thing. And more."), f"one: {A_SENTENCE}"),
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
        decisions.read_rows(table, REGISTRY)

    assert error.value.lines[0].startswith(f"decisions.md, {why}")


@pytest.mark.parametrize("only", [True, False])
def test_a_table_of_one_answer_proves_nothing(only: bool) -> None:
    rows = [row for row in TABLE if row.allowed is only]

    assert [*fit.of_table(policy_of(POLICY, REGISTRY), rows)] == ["decisions.md needs rows with yes and rows with no"]
    assert [*fit.of_table(policy_of(POLICY, REGISTRY), [])] == ["decisions.md needs rows with yes and rows with no"]


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
    assert "one.cedar, use-an-api: registry.admin is for people: it needs the condition" in "\n".join(found)


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

    assert [problem for problem in found if ", more: the action " in problem]
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

    assert [one.partition(":")[0] for one in fit.problems(both, REGISTRY)] == ["y.cedar"]
    places = [rule.place for rule in rules_of(both.document.policies)]
    with patch.object(fit, "of_files", return_value=(places, [])):
        assert any(one.startswith("operate-too: policy.admin is for people") for one in fit.problems(both, REGISTRY))


def test_files_with_another_number_of_rules_than_they_have_together_are_refused() -> None:
    files = {"a.cedar": 'permit (principal, action, resource) when { "', "b.cedar": ';;" == "" };'}
    content = CONTENT.model_copy(update={"policies": files})
    assert len(rules_of(content.document.policies)) == 1

    with patch.object(fit, "of_files", return_value=(["a.cedar, rule 1", "b.cedar, rule 1"], [])):
        [told] = fit.problems(content, REGISTRY)
    assert told.startswith("the policies do not fit: ")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("permit (", "permitt (", "documents.cedar: invalid policy effect: permitt"),
        ("};\n", "}\n", "documents.cedar: unexpected token `@`"),
        ("resource.owner", "(" * 40 + "true" + ")" * 40, "documents.cedar: policies: more than 32 brackets"),
        ("permit (principal,", "permit (principal == ?principal,", "documents.cedar: a template: only whole policies"),
        ("resource.owner", "resource.owmer", "documents.cedar, read-own-restricted-in-person: attribute `owmer` on"),
        ('@id("read-own-department")', "", "documents.cedar, rule 1: needs an @id of lower-case letters"),
    ],
)
def test_what_cedar_says_is_told_with_the_file_and_the_rule_that_it_can_name(old: str, new: str, told: str) -> None:
    """Of a rule that cannot be read, Cedar does not say which one it is."""
    documents = CONTENT.policies["documents.cedar"]
    assert old in documents
    files = CONTENT.policies | {"documents.cedar": documents.replace(old, new, 1)}

    assert fit.problems(CONTENT.model_copy(update={"policies": files}), REGISTRY)[0].startswith(told)


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
    places, refused = fit.of_files(files)
    assume(not refused)
    together = rules_of(CONTENT.model_copy(update={"policies": files}).document.policies)
    alone = [(name, replace(rule, place="")) for name in sorted(files) for rule in rules_of(files[name])]

    assert [replace(rule, place="") for rule in together] == [rule for _, rule in alone]
    assert [place.partition(",")[0] for place in places] == [name for name, _ in alone]
