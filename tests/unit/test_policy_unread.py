"""Policies that hide something from people, or could end whoever parses them, are refused before they are parsed."""

import ast
from pathlib import Path
from unittest.mock import patch

import pytest

from authorities.policy import cedar, fit
from authorities.policy.decisions import FILE
from authorities.policy.unread import unread
from authorities.policy.versions import Content, content_of
from tests.support.system import POLICIES, registry
from zerotrust.policy import UnreadError
from zerotrust.policy_work import MAX_RULES
from zerotrust.registry.files import SCHEMA

CONTENT = content_of(POLICIES)
ANY = "permit (principal, action, resource);"
OPEN = '@id("x'
DEEP = f"permit (principal, action, resource) when {{ {'(' * 40}true{')' * 40} }};"


def of_files(**files: str) -> list[str]:
    return unread(CONTENT.model_copy(update={"policies": {f"{name}.cedar": text for name, text in files.items()}}))


def test_what_is_committed_is_read() -> None:
    assert unread(CONTENT) == []
    assert of_files(a=f"// é, 漢字, — and a tab:\t{ANY}") == []


SIGNS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\r"]
SIGNS += ["\x00", "\x1b", "\u202e", "\u200b", "\xa0", "\ufeff", "\ufe0e", "\u034f", "\u3164", "\U000e0100"]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_character_by_which_people_would_read_another_text_is_refused(sign: str) -> None:
    contents = {
        "a.cedar": CONTENT.model_copy(update={"policies": {"a.cedar": f"// a\n// b{sign}\n{ANY}{sign}"}}),
        SCHEMA: CONTENT.model_copy(update={"cedar_schema": f"\n// {sign}"}),
        FILE: CONTENT.model_copy(update={"table": f"\n{sign}"}),
    }
    for name, content in contents.items():
        why = f"the character U+{ord(sign):04X} is not visible: remove it (lines end with U+000A alone)"
        assert fit.problems(content, registry()) == [f"{name}, line 2: {why}"]


@pytest.mark.parametrize("name", ["a.cedar", SCHEMA])
def test_only_comments_and_descriptions_have_letters_of_other_scripts(name: str) -> None:
    """One of them may look like another letter, as this one does like an a."""

    def unread_in(text: str) -> list[str]:
        update = {"cedar_schema": text} if name == SCHEMA else {"policies": {name: text}}
        return unread(CONTENT.model_copy(update=update))

    assert unread_in('// \u0430\n@description("\u0430 \\" \u0430") permit') == []
    for text in (
        '// \u0430\n@id("\u0430")',
        '@description("a")\n"\u0430"',
        '@description("a" \u0430',
        '"@description(" \u0430',
    ):
        line = text.count("\n") + 1
        assert unread_in(text) == [f"{name}, line {line}: the character U+0430: in a text, write it as \\u{{430}}"]
    assert unread_in('@id("\\u{430}")') == []


def test_crlf_line_ends_are_called_that() -> None:
    assert of_files(a=f"// a\r\n{ANY}\r\n") == ["a.cedar: CRLF line ends: save it with LF line ends"]
    assert "U+000D" in of_files(a=f"// a\n{ANY}\r\n")[0]
    assert "U+200B" in of_files(a=f"// \u200b\r\n{ANY}\r\n")[0]


@pytest.mark.parametrize("rules", [ANY * (MAX_RULES // 2), ";" * (MAX_RULES // 2)])
def test_rules_are_counted_file_by_file(rules: str) -> None:
    """A quote that the first file leaves open would hide those of the second."""
    assert not [one for one in of_files(a=rules, b=rules) if "rules" in one]
    assert of_files(a=rules + OPEN, b=rules + ANY) == [
        f"the policies have {MAX_RULES + 1} rules, and may have {MAX_RULES}"
    ]


def test_a_rule_that_is_too_deep_is_found_behind_a_quote_that_another_file_leaves_open() -> None:
    told = "b.cedar, line 1, a rule without an @id: more than 32 brackets inside one another"
    assert of_files(a=OPEN, b=DEEP) == [told]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("permit (principal == ?principal, action, resource);", "a template: only whole policies decide"),
        ("(((((;" * 7, "more than 32 brackets inside one another"),
    ],
)
def test_a_file_that_is_too_much_as_a_whole_is_named(text: str, why: str) -> None:
    assert of_files(a=ANY, b=text) == [f"b.cedar: policies: {why}"]


@pytest.mark.parametrize(
    "read",
    [
        cedar.policies_of,
        cedar.as_json,
        lambda text: cedar.unfit(text, CONTENT.cedar_schema),
        lambda text: cedar.unfit("", f"{CONTENT.cedar_schema} // \n {text}"),
        cedar.check_schema,
    ],
    ids=["policies_of", "as_json", "unfit", "unfit: schema", "check_schema"],
)
def test_whatever_parses_a_text_applies_the_bounds_to_it(read: object) -> None:
    assert callable(read)
    with pytest.raises(UnreadError, match="more than 32 brackets"):
        read(DEEP)


def test_nothing_else_of_the_policy_authority_parses_cedar() -> None:
    """`cedarpy.pst` has the shapes of what was parsed."""
    found = set[str]()
    for file in Path(cedar.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import) and any(one.name.startswith("cedarpy") for one in node.names):
                found.add(file.name)
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "cedarpy"
                and [one.name for one in node.names] != ["pst"]
            ):
                found.add(file.name)

    assert found == {"cedar.py"}


def test_what_exceeds_the_bounds_together_is_told() -> None:
    """Also if a file alone does not."""
    long = " && ".join(["context.delegated"] * 90)
    rules = f"permit (principal, action, resource) when {{ {long} }};" * 4
    content = CONTENT.model_copy(update={"policies": {f"{name}.cedar": rules for name in "ab"}})

    [told] = fit.problems(content, registry())

    assert told.startswith("the policies were not read: policies: operators and commas, times actions")


def test_bounds_hold_where_nothing_was_refused_before() -> None:
    hidden = CONTENT.model_copy(update={"policies": {"a.cedar": OPEN, "b.cedar": DEEP}})
    assert isinstance(hidden, Content)
    with patch.object(fit, "unread", return_value=[]):
        assert fit.problems(hidden, registry()) == [
            "the policies were not read: policies: more than 32 brackets inside one another"
        ]
