"""What the walkthrough counts as expected, and what it does with a part that fails."""

import re
from dataclasses import replace
from typing import Any, cast

from demo.catalogue import ATTEMPTS, BY_NAME
from demo.checks import Attempt, Checks
from demo.story import TRIED, injected_attempts
from demo.walk import summary, walk
from start.program import console
from start.system import Running
from tests.support.records import CALLER
from tests.support.system import registry
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize

ALL = [Attempt(who, one.what, one.control, one.expected, one.expected) for who, of in ATTEMPTS.items() for one in of]
ALL += [Attempt(who, one.what, one.control, one.expected, one.expected) for who, one in BY_NAME.values()]


def test_another_answer_is_told_at_once_and_at_the_end() -> None:
    checks = Checks()
    with console.capture() as told:
        checks.show([Attempt("eve", "runs a task", "policy", "403 policy_denied", "200 ok"), *ALL[:2]])

    assert "expected 403 policy_denied, answered 200 ok: eve runs a task" in told.get()
    assert re.search(r"✗ +runs a task", told.get())
    assert checks.summary().plain == "1 of 3 checks did not behave as expected: eve runs a task."


def test_what_the_poisoned_report_tried_counts_only_if_the_right_agent_was_refused_for_the_right_reason() -> None:
    tried, of = TRIED[1], registry()

    def outcome(party: str, reason: str) -> bool:
        caller = replace(CALLER, party=of.id(party), audience=of.id("tool/documents"))
        decided = Decided(allowed=reason == "granted", reason=reason)
        data = Request(operation=sanitize(tried.operation), decision=decided, principal=caller)
        found = injected_attempts([AuditEvent(schema=1, time=0, service=caller.audience, data=data)])
        return found[1].as_expected

    assert outcome("agent/reader", "scope_missing")
    assert not outcome("agent/reader", "granted")
    assert not outcome("agent/reader", "no_token")
    assert not outcome("agent/writer", "scope_missing")


async def test_a_part_that_fails_is_told_and_the_summary_comes_all_the_same() -> None:
    async def surprise(_system: Running, checks: Checks) -> None:
        async def attempts() -> Any:
            yield ALL[0]
            raise KeyError("agent/writer")

        await checks.make_all(attempts())

    with console.capture() as told:
        status = await walk(cast("Running", None), (surprise, summary))
    said = " ".join(told.get().split())

    assert status == 1
    assert "✗ this part failed: KeyError('agent/writer') in test_walkthrough.py, line" in said
    assert said.endswith("All 1 checks behaved as expected: 1 attempt refused, 0 legitimate calls allowed.")
