"""`zt/reasons.yaml` explains every reason that a caller can be answered, or a journal can have, and no other."""

import re

from tests.reference.reasons import KINDS, all_explained
from tests.support.system import ROOT
from zerotrust.decision import BEFORE_SIGNATURE, Reason
from zt.reasons import reason_texts

EXPLAINED = [(reason, texts) for section in all_explained().values() for reason, texts in section.items()]


def test_every_reason_is_explained_once_and_nothing_else() -> None:
    assert sorted(reason for reason, _ in EXPLAINED) == sorted(reason for kind in KINDS for reason in kind)


def test_no_service_has_reasons_that_are_not_explained() -> None:
    folders = ("agents", "authorities", "console", "inference", "orchestrator", "tools", "zerotrust")
    sources = [file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = {name for text in sources for name in re.findall(r"^class (\w+)\(ReasonCode\):", text, re.MULTILINE)}

    assert found == {kind.__name__ for kind in KINDS}


def test_each_reason_has_a_cause_and_a_remedy() -> None:
    whole = ["meaning", "cause", "remedy"]

    of_reasons = [(str(reason), texts) for section in reason_texts().values() for reason, texts in section.items()]
    assert [reason for reason, texts in of_reasons if list(texts) != whole] == [Reason.GRANTED]


def test_what_no_caller_is_told_is_set_apart() -> None:
    assert {*reason_texts()["Only in journals"]} == {*BEFORE_SIGNATURE, Reason.GRANTED}
