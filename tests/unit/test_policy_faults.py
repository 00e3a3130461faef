"""Policies that are no Cedar, or do not fit their schema: each fault is named with its file, line, rule and remedy."""

from pathlib import Path
from unittest.mock import AsyncMock, patch

import pytest

from authorities.policy import faults as module
from authorities.policy import fit
from authorities.policy.decisions import FILE
from authorities.policy.faults import faults
from authorities.policy.office import LONGEST_PROBLEM, Office
from authorities.policy.statements import MOST_TRIED, statements
from authorities.policy.versions import Content, content_of
from tests.support.policies import versions_in
from tests.support.system import POLICIES, registry

CONTENT = content_of(POLICIES)
DOCUMENTS, SCHEMA = "documents.cedar", "schema.cedarschema"
LINES = CONTENT.policies[DOCUMENTS].splitlines()
SCOPE, OWNER = 'context.scopes.contains("tool.read") &&', "resource.owner == context.subject"


def problems(old: str, new: str, times: int = 1, file: str = DOCUMENTS) -> list[str]:
    """What is wrong when a text is another one in the first places of a file."""
    assert old in CONTENT.policies[file]
    files = CONTENT.policies | {file: CONTENT.policies[file].replace(old, new, times)}
    return fit.problems(CONTENT.model_copy(update={"policies": files}), registry())


def line_of(text: str, after: str = "") -> int:
    """The first line of the documents' rules that has a text, after another one."""
    start = next((number for number, line in enumerate(LINES) if after in line), 0)
    return next(number for number, line in enumerate(LINES[start:], start + 1) if text in line)


READ, RESTRICTED = "read-own-department", "read-own-restricted-in-person"
FAULTS = [
    # old, new, rule, line, told
    (SCOPE, 'context.scopes.contains("tool.read") &', READ, line_of(SCOPE), "unexpected `&`: remove it, or add"),
    (
        SCOPE,
        'context.scopes.contains("tool.read")',
        READ,
        line_of(SCOPE) + 1,
        "unexpected `context`: remove it, or add",
    ),
    (SCOPE, 'context.scopes.contains("tool.read) &&', READ, line_of(SCOPE), "a text has no closing quote on its line"),
    (SCOPE, "context.scopes.contains('tool.read') &&", READ, line_of(SCOPE), "unexpected `'`: remove it"),
    (
        SCOPE,
        "context.scops.isEmpty() &&",
        READ,
        line_of(SCOPE),
        "no attribute `scops` in schema.cedarschema: is `scopes`",
    ),
    ("permit (", "permitt (", READ, line_of("permit ("), "invalid policy effect: permitt: a rule begins with `permit`"),
    ("when {", "where {", READ, line_of("when {"), "a condition begins with `when` or `unless`"),
    ("when {", "when", READ, line_of(SCOPE), "unexpected `context`: remove it"),
    ("(principal, a", "(principle, a", READ, line_of("permit ("), "expected `principal`, `action` and `resource`"),
    ("};\n", "}\n", READ, line_of(f'@id("{RESTRICTED}")'), "unexpected `@`: does the rule before it end with `;`?"),
    (
        SCOPE,
        "context.delegate &&",
        READ,
        line_of(SCOPE),
        "has no attribute `delegate` in schema.cedarschema: is `delegated`",
    ),
    (OWNER, "resource.owner = context.subject", RESTRICTED, line_of(OWNER), "write `==`"),
    (
        OWNER,
        "resource.owmer == context.subject",
        RESTRICTED,
        line_of(OWNER),
        "no attribute `owmer` in schema.cedarschema: is `owner`",
    ),
    (
        OWNER,
        "resource.owner == 3",
        RESTRICTED,
        line_of("permit", f'@id("{RESTRICTED}")') - 2,
        "types Long and String are not compatible: compare",
    ),
    (
        "document.read",
        "document.reed",
        READ,
        line_of("permit ("),
        "no action `document.reed`: is `document.read` meant?",
    ),
    (
        "(principal, action ==",
        "(principal is Partie, action ==",
        READ,
        line_of("permit ("),
        "no type `Partie`: is `Party` meant?",
    ),
    (f'@id("{READ}")', f'@id("{READ}")\n@id("x")', READ, 3, "duplicate annotation: @id: remove one of the two"),
    (f'@id("{READ}")', "", None, line_of("@description"), "needs an @id of lower-case letters"),
    ("@description", "@descripton", READ, 3, "needs a @description of what it permits"),
]


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "told"), FAULTS, ids=[f"{new} {told}" for _, new, *_, told in FAULTS]
)
def test_a_fault_is_named_with_file_line_rule_and_what_was_expected(
    old: str, new: str, rule: str | None, line: int, told: str
) -> None:
    first = problems(old, new)[0]

    assert first.startswith(f"{DOCUMENTS}, line {line}, {f'rule {rule}' if rule else 'a rule without an @id'}: ")
    assert told in first


def test_every_fault_is_named_and_not_only_the_first() -> None:
    times = CONTENT.policies[DOCUMENTS].count(SCOPE)
    assert times == 3

    found = problems(SCOPE, SCOPE[:-1], times)

    assert [one.partition(": ")[0].rpartition(" ")[2] for one in found] == [READ, RESTRICTED, "read-public"]
    files = CONTENT.policies | {"a.cedar": "permit", "z.cedar": "forbid (principal, action, resource) when {};"}
    told = [*faults(files, CONTENT.cedar_schema.replace("owner", "owmer"))]
    assert [one.partition(",")[0] for one in told] == ["a.cedar", "z.cedar", *[DOCUMENTS] * 3]


def test_the_form_of_the_other_rules_is_judged_as_well() -> None:
    files = CONTENT.policies | {"a.cedar": "permit", "b.cedar": "permit (principal, action, resource);"}

    found = fit.problems(CONTENT.model_copy(update={"policies": files}), registry())

    assert [one.partition(": ")[0] for one in found] == [
        f"{name}.cedar, line 1, a rule without an @id" for name in ("a", "b", "b", "b")
    ]


def test_a_rule_that_lacks_its_end_does_not_hide_the_rows_that_are_no_questions() -> None:
    broken = CONTENT.model_copy(update={"policies": {"a.cedar": "permit"}, "table": "| eve |\n| bob |"})

    found = fit.problems(broken, registry())

    assert found[0].startswith("a.cedar, line 1, a rule without an @id: unexpected end of input: a rule ends with `;`")
    assert [one.partition(": ")[0] for one in found[1:]] == [f"{FILE}, line 1", f"{FILE}, line 2"]


@pytest.mark.parametrize("deep", ["(" * 40 + "true" + ")" * 40, "&&".join(["true"] * 300)])
def test_a_rule_that_is_too_deep_to_be_read_is_named_without_reading_it(deep: str) -> None:
    [problem] = problems(OWNER, deep)

    assert problem.startswith(f"{DOCUMENTS}, line 13, rule {RESTRICTED}: more than ")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("delegates: Set<", "delegates Set<", "line 4: unexpected `Set`: remove it, or add what is missing before it"),
        ("entity Document", "entiti Document", "line 9: unexpected `entiti`"),
        ("type Call = {", "type Call = ", "line 17: unexpected `:`"),
        ("may_call: Set<Party>", "may_call: Set<Partyy>", "line 5: no type `Partyy` is declared: is `Party` meant?"),
    ],
)
def test_a_fault_of_the_schema_is_named_with_its_line(old: str, new: str, told: str) -> None:
    assert old in CONTENT.cedar_schema

    [problem] = faults(CONTENT.policies, CONTENT.cedar_schema.replace(old, new))

    assert problem.startswith(f"{SCHEMA}, {told}")


OPEN = 'permit (principal, action, resource) when { context.subject == "'


@pytest.mark.parametrize("end", ["", "\\", "//", "// ;\n", "\n\n"])
def test_each_file_has_to_be_cedar_alone(end: str) -> None:
    """Also where the files are Cedar as one text: what is a text in one would be rules in the next."""
    files = {"a.cedar": OPEN + end, "b.cedar": '" };'}
    told = [*faults(files, CONTENT.cedar_schema)]

    assert [one.partition(":")[0] for one in told] == [f"{name}.cedar, line 1, a rule without an @id" for name in "ab"]
    assert all("a text has no closing quote on its line" in one for one in told)


def test_a_file_that_is_no_cedar_is_named_also_if_the_place_is_not_found() -> None:
    with patch.object(module, "statements", return_value=[]):
        told = [*faults({"a.cedar": "permit"}, CONTENT.cedar_schema)]

    assert told == ["a.cedar: unexpected end of input"]


def test_texts_and_comments_are_no_rules() -> None:
    text = '// one; two\n\n@id("a;b") // ;\npermit (principal, action, resource);\n// the end;\n'

    [only] = statements({"a.cedar": text})

    assert (only.line, only.place) == (3, "a.cedar, line 3, rule a;b")
    assert only.text.endswith("resource);")


def test_a_word_is_looked_for_in_a_bounded_number_of_places() -> None:
    """Where it would be found after that, only the rule is named."""
    text = f"permit (principal, action, resource) when {{ {'true && ' * MOST_TRIED}true true }};"

    [problem] = faults({"a.cedar": text}, CONTENT.cedar_schema)

    assert problem == "a.cedar, line 1, a rule without an @id: unexpected token `true`"


async def test_a_long_name_is_cut_off(tmp_path: Path) -> None:
    """And not compared with others, which takes time for each pair of characters."""
    long = "a" * 900
    schema = CONTENT.cedar_schema.replace("entity Document {", f"entity Document {{ {long}b: String,")
    files = CONTENT.policies | {
        DOCUMENTS: CONTENT.policies[DOCUMENTS].replace("resource.owner", f"resource.{long}c", 1)
    }
    office = Office(versions_in(tmp_path, CONTENT), AsyncMock(), registry, AsyncMock(), AsyncMock())

    [problem] = (await office.test(CONTENT.model_copy(update={"policies": files, "cedar_schema": schema})))["problems"]

    assert problem.startswith(f"{DOCUMENTS}, line {line_of('resource.owner')}, rule {RESTRICTED}: an entity of type")
    assert (len(problem), problem[-1]) == (LONGEST_PROBLEM + 1, "…")


def test_content_is_as_it_was() -> None:
    assert isinstance(CONTENT, Content)
    assert [*faults(CONTENT.policies, CONTENT.cedar_schema)] == []
