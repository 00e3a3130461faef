"""Policies that hide something from people are refused unread; whatever parses a text applies its bounds."""

import ast
from pathlib import Path

import pytest

from authorities.policy import cedar, fit
from authorities.policy.decisions import FILE
from authorities.policy.text_checks import check_text
from authorities.policy.versions import content_of
from tests.support.system import POLICIES, registry
from zerotrust.authority.files.snapshot_files import SCHEMA
from zerotrust.policy import PolicyError

CONTENT = content_of(POLICIES)
ANY = "permit (principal, action, resource);"
DEEP = f"permit (principal, action, resource) when {{ {'(' * 40}true{')' * 40} }};"


def of_files(**files: str) -> list[str]:
    return check_text(CONTENT.model_copy(update={"policies": {f"{name}.cedar": text for name, text in files.items()}}))


def test_what_is_committed_is_read() -> None:
    assert check_text(CONTENT) == []
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
        return check_text(CONTENT.model_copy(update=update))

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


@pytest.mark.parametrize("read", [cedar.policies_of, cedar.as_json])
def test_whatever_parses_a_text_applies_the_bounds_to_it(read: object) -> None:
    assert callable(read)
    with pytest.raises(PolicyError, match="more than 32 brackets"):
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
