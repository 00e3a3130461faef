"""Two versions of the policies differ in their texts, and in the answers that their decision tables ask for."""

import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest

from authorities.policy import differences
from authorities.policy.decisions import ACCESS, LONGEST_CELL
from authorities.policy.differences import (
    LONGEST_DIFFERENCE,
    LONGEST_SAID,
    MOST_ANSWERS,
    Changed,
    answers,
    texts,
    told,
)
from authorities.policy.office import LONGEST_PROBLEM, MOST_PROBLEMS
from authorities.policy.versions import MAX_BYTES, Content, content_of
from tests.support.system import POLICIES, registry
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.policy import PolicyError

REGISTRY = registry()
OLD = content_of(POLICIES)
PUBLIC = '["public", "internal"].contains(resource.classification)'
NEW = OLD.model_copy(
    update={
        "policies": OLD.policies
        | {
            "documents.cedar": OLD.policies["documents.cedar"].replace(
                PUBLIC, 'resource.classification == "internal"', 1
            )
        }
    }
)
RENAMED = OLD.model_copy(
    update={
        "policies": OLD.policies | {"apis.cedar": OLD.policies["apis.cedar"].replace('@id("use-an-api")', '@id("use")')}
    }
)
"""The reader does not read what its own department has made public by the first rule."""


def test_the_same_does_not_differ() -> None:
    assert (texts(OLD, OLD, before="1", after="2"), answers(OLD, OLD, REGISTRY)) == ("", [])


def test_texts_differ_by_file_also_one_that_is_new_or_gone() -> None:
    more = OLD.model_copy(update={"policies": {"new.cedar": "// new"}, "table": OLD.table + "one more line\n"})
    told = texts(OLD, more, before="1-abc", after="policies").splitlines()

    heads = [line for line in told if line.startswith(("---", "+++"))]
    assert heads[:2] == ["--- 1-abc/apis.cedar", "+++ policies/apis.cedar"]
    assert {"+++ policies/new.cedar", "+++ policies/decisions.md"} < {*heads}
    assert "--- 1-abc/schema.cedarschema" not in heads
    assert {"+// new", "+one more line"} < {*told}


def with_text(text: str) -> Content:
    return OLD.model_copy(update={"policies": OLD.policies | {"a.cedar": text}})


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
def test_a_line_ends_where_it_does_for_cedar(sign: str) -> None:
    """Whatever else a terminal may take for the end of a line: Cedar reads on in the comment."""
    one, other = with_text("// a\nwhen { true };\n"), with_text(f"// a{sign}when {{ true }};\n")
    found = told(one, other, REGISTRY, before="1", after="2")

    assert f"\n-// a\n-when {{ true }};\n+// a{sign}when {{ true }};" in found["text"]
    assert not found["same"]


@pytest.mark.parametrize(("one", "other"), [("a\nb\n", "a\nc"), ("a\nb", "a\nb\n"), ("", "a"), ("a\n", "")])
def test_a_tool_can_apply_the_difference(one: str, other: str, tmp_path: Path) -> None:
    found = told(with_text(one), with_text(other), REGISTRY, before="1", after="2")
    (tmp_path / "a.cedar").write_text(one)
    git = ["git", "apply", "-"]
    subprocess.run(git, input=found["text"] + "\n", cwd=tmp_path, text=True, check=True)  # noqa: S603

    assert (tmp_path / "a.cedar").read_text() == other
    assert not found["same"]


def test_an_empty_file_more_is_a_difference() -> None:
    for one, other, side in ((OLD, with_text(""), "2"), (with_text(""), OLD, "1")):
        found = told(one, other, REGISTRY, before="1", after="2")
        assert (found["same"], found["text"]) == (False, f"Only in {side}: a.cedar")


def test_a_question_of_either_table_that_is_answered_differently_is_told_once() -> None:
    found = answers(OLD, NEW, REGISTRY)

    before, after = "yes (read-own-department, read-public)", "yes (read-public)"
    reader = "orchestrator > agent/reader"
    assert Changed("alice", reader, "tool.read", "document.read", "menu", before, after) in found
    assert len(found) == len(set(found))
    assert answers(OLD, NEW.model_copy(update={"table": ""}), REGISTRY) == found
    assert answers(OLD, NEW.model_copy(update={"table": "| user | groups |\n| alice |"}), REGISTRY) == found


def test_another_rule_with_the_same_answer_is_told_and_their_number_has_a_bound() -> None:
    assert all(one.before.startswith("yes (use-an-api") for one in answers(OLD, RENAMED, REGISTRY))
    number = len(answers(OLD, RENAMED, REGISTRY))
    with patch.object(differences, "MOST_ANSWERS", 3):
        found = told(OLD, RENAMED, REGISTRY, before="1", after="2")
    assert (len(found["answers"]), found["more"]) == (3, number - 3)
    assert told(OLD, RENAMED, REGISTRY, before="1", after="2")["more"] == 0


def test_what_is_newly_permitted_comes_first_and_another_rule_last() -> None:
    texts = {name: text.replace('@id("use-an-api")', '@id("use")') for name, text in OLD.policies.items()}
    documents = texts["documents.cedar"].replace("context.departments.contains(resource.department)", "true", 1)
    fewer = documents.replace(
        'in [Action::"document.replace", Action::"document.delete"]', '== Action::"document.read"'
    )
    new = OLD.model_copy(update={"policies": texts | {"documents.cedar": fewer}})

    kinds = [f"{one.before.split()[0]} {one.after.split()[0]}" for one in answers(OLD, new, REGISTRY)]

    order = ["no yes", "yes no", "yes yes"]
    assert [*dict.fromkeys(kinds)] == order
    assert kinds == sorted(kinds, key=order.index)
    more = "\n| user | groups |\n|---|---|\n| carl | /finance |\n"
    carl = "carl", "orchestrator > agent/reader", "tool.read", "document.read", "report", "no", "x", ""
    first = "".join(f"| {' | '.join(cells)} |\n" for cells in (ACCESS, carl))
    table = new.table.replace("\n## Which API", f"{more}{first}\n## Which API", 1)
    found = answers(OLD, new.model_copy(update={"table": table}), REGISTRY)
    permitted = [one.user for one in found if one.before.startswith("no")]
    assert permitted[-1] == "carl" != permitted[0]  # what the old table asks, comes first


def test_a_difference_is_told_as_far_as_an_operators_client_reads_it() -> None:
    """Else no version could be compared with such a one, and so none be activated or rolled back."""
    signs = "\U0001f512" * 9 + "\n"
    long = OLD.model_copy(update={"table": OLD.table + "\n" + signs * 12_000})

    found = told(OLD, long, REGISTRY, before="1", after="2")

    assert found["cut"]
    assert not found["same"]
    assert LONGEST_DIFFERENCE - 20 < len(found["text"]) <= LONGEST_DIFFERENCE
    assert found["text"].endswith("\n+" + signs[:-1])
    assert not told(OLD, NEW, REGISTRY, before="1", after="2")["cut"]


def test_of_an_answer_by_many_rules_the_beginning_is_told() -> None:
    many = "\n".join(OLD.policies["documents.cedar"].replace('@id("', f'@id("a-copy-{n}-') for n in range(3))
    more = OLD.model_copy(update={"policies": OLD.policies | {"copies.cedar": many}})

    longest = max(len(one.after) for one in answers(OLD, more, REGISTRY))
    assert longest <= LONGEST_SAID + 1


def test_the_greatest_answer_is_one_that_an_operators_client_reads() -> None:
    cell = LONGEST_CELL * 5 + 2 * LONGEST_SAID  # of a question and its two answers, all in ASCII
    assert MOST_ANSWERS * cell + 4 * LONGEST_DIFFERENCE + MOST_PROBLEMS * LONGEST_PROBLEM * 4 < MAX_ANSWER
    assert 2 * MAX_BYTES < MAX_ANSWER


def test_what_does_not_fit_the_registry_has_no_answers() -> None:
    with pytest.raises(PolicyError):
        answers(OLD, OLD.model_copy(update={"cedar_schema": "entity Party;"}), REGISTRY)
