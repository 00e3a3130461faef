"""Two versions of the policies differ in the answers that their decision tables ask for."""

from unittest.mock import patch

from authorities.policy import differences
from authorities.policy.activation import LONGEST_PROBLEM, MOST_PROBLEMS
from authorities.policy.decisions import LONGEST_CELL
from authorities.policy.differences import LONGEST_SAID, MOST_ANSWERS, SAME_SENTENCE, Changed, answers, describe
from authorities.policy.versions import MAX_BYTES, content_of
from tests.support.system import POLICIES, registry
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.registry.snapshot import MAX_POLICY

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


def test_an_empty_file_more_is_a_difference() -> None:
    more = OLD.model_copy(update={"policies": OLD.policies | {"a.cedar": ""}})
    for one, other in ((OLD, more), (more, OLD)):
        assert describe(one, other, REGISTRY) == {"same": False, "answers": [], "more": 0, "rules": []}


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
        found = describe(OLD, RENAMED, REGISTRY)
    assert (len(found["answers"]), found["more"]) == (3, number - 3)
    assert describe(OLD, RENAMED, REGISTRY)["more"] == 0


def test_a_rule_whose_head_or_condition_changes_under_the_same_sentence_is_told() -> None:
    for part, other in ("(principal, action in", "(principal is Party, action in"), ("when {", "when { true &&"):
        text = OLD.policies["apis.cedar"].replace(part, other, 1)
        found = describe(OLD, OLD.model_copy(update={"policies": OLD.policies | {"apis.cedar": text}}), REGISTRY)
        assert [(rule["id"], rule["after"]) for rule in found["rules"]] == [("use-an-api", SAME_SENTENCE)]


def test_of_an_answer_by_many_rules_the_beginning_is_told() -> None:
    many = "\n".join(OLD.policies["documents.cedar"].replace('@id("', f'@id("a-copy-{n}-') for n in range(3))
    more = OLD.model_copy(update={"policies": OLD.policies | {"copies.cedar": many}})

    longest = max(len(one.after) for one in answers(OLD, more, REGISTRY))
    assert longest <= LONGEST_SAID + 1


def test_the_greatest_answer_is_one_that_an_operators_client_reads() -> None:
    cell = LONGEST_CELL * 5 + 2 * LONGEST_SAID  # of a question and its two answers, all in ASCII
    sentences = 2 * MAX_POLICY * 4
    assert MOST_ANSWERS * cell + MOST_PROBLEMS * LONGEST_PROBLEM * 4 + sentences < MAX_ANSWER
    assert 2 * MAX_BYTES < MAX_ANSWER
