"""`docs/reasons.md` has every reason that a caller can be answered, or a journal can have, and no other."""

import re
from collections import Counter

import pytest

from authorities.audit.reasons import AuditReason
from authorities.policy.reasons import PolicyReason
from authorities.registry.reasons import RegistryReason
from inference.chat import ModelReason
from orchestrator.proofs import ProofReason
from tests.support.system import ROOT
from zerotrust.decision import BEFORE_SIGNATURE, Reason, ReasonCode
from zt.reasons import meanings

PAGE = (ROOT / "docs" / "reasons.md").read_text()
KINDS: list[type[ReasonCode]] = [Reason, RegistryReason, PolicyReason, AuditReason, ModelReason, ProofReason]
REASONS = [reason for kind in KINDS for reason in kind]
ROWS = re.findall(r"^\| `(\w+)` \| (\d+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)


def test_every_reason_is_there_once_and_nothing_else() -> None:
    assert Counter(row[0] for row in ROWS) == Counter(str(reason) for reason in REASONS)
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, re.MULTILINE))


def test_zt_has_the_sentence_of_every_reason() -> None:
    assert meanings() == {row[0]: row[2] for row in ROWS}


def test_no_service_has_reasons_that_the_page_does_not_know() -> None:
    folders = ("agents", "authorities", "inference", "orchestrator", "tools", "zerotrust")
    sources = [file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = {name for text in sources for name in re.findall(r"^class (\w+)\(ReasonCode\):", text, re.MULTILINE)}

    assert found == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_has_the_status_of_the_code_and_a_remedy(reason: ReasonCode) -> None:
    (row,) = [row for row in ROWS if row[0] == reason]

    assert row[1] == str(reason.status)
    assert reason is Reason.GRANTED or all(row[2:])


def test_what_no_caller_is_told_is_set_apart() -> None:
    hidden = PAGE.partition("\n## Only in journals\n")[2]

    assert set(re.findall(r"^\| `(\w+)`", hidden, re.MULTILINE)) == {*BEFORE_SIGNATURE, Reason.GRANTED}
