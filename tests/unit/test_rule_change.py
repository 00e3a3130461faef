"""The rule that the walkthrough changes: fit together with its rows of the decision table, and not without them."""

from authorities.policy import fit
from authorities.policy.differences import answers
from authorities.policy.versions import Content, content_of
from demo.rule_change import RULE, with_its_table, with_stricter_rule
from tests.support.system import POLICIES, registry

REGISTRY = registry()
NOW = content_of(POLICIES)
ALONE = Content.model_validate(with_stricter_rule(NOW.model_dump()))
BOTH = Content.model_validate(with_its_table(ALONE.model_dump()))


def problems(content: Content) -> list[str]:
    return fit.problems(content, REGISTRY)


def test_the_rule_alone_is_refused_by_its_own_rows_and_by_nothing_else() -> None:
    [*found] = problems(ALONE)

    assert found
    assert all(f"yes by '{RULE}' expected, no by 'resource_denied' decided" in one for one in found)


def test_with_its_rows_it_is_fit_and_takes_drafts_from_agents_alone() -> None:
    assert problems(BOTH) == []

    changed = answers(NOW, BOTH, REGISTRY)
    assert {(one.through, one.does, one.before, one.after) for one in changed} == {
        ("orchestrator > agent/writer", "document.create", f"yes ({RULE})", "no (resource_denied)")
    }
