"""docs/how-to/change-a-rule.md: its example is the walkthrough's change, and does what the page says."""

import shutil
from pathlib import Path

from authorities.policy.fit import problems
from authorities.policy.versions import Content, content_of
from demo.rule_change import RULE, with_its_table, with_stricter_rule
from tests.support.differences import edit, edits
from tests.support.system import POLICIES, registry


def test_its_four_lines_are_the_walkthroughs_change_and_the_rule_alone_is_unfit(tmp_path: Path) -> None:
    shutil.copytree(POLICIES, folder := tmp_path / "policies")
    (rule, table) = edits("how-to/change-a-rule.md")

    edit(tmp_path, *rule)
    alone = content_of(folder)
    edit(tmp_path, *table)
    complete = content_of(folder)

    as_it_is = content_of(POLICIES)
    before, after = ("\n".join(one.files.values()).splitlines() for one in (as_it_is, complete))
    assert len({*after} - {*before}) == 4
    stricter = with_stricter_rule(as_it_is.model_dump())
    assert alone == Content.model_validate(stricter)
    assert complete == Content.model_validate(with_its_table(stricter))
    found = problems(alone, registry())
    assert [f"yes by '{RULE}' expected, no by 'resource_denied' decided" in one for one in found] == [True] * 2, found
    assert problems(complete, registry()) == []
