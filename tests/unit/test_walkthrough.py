"""What the walkthrough counts as expected, and how it names tokens and models."""

import re
from dataclasses import replace

from demo.catalogue import ATTEMPTS, BY_NAME
from demo.checks import Attempt, Checks
from demo.story import TRIED, TaskRun, injected_attempts
from demo.tokens import tokens_of
from start.program import console
from tests.support.told_task import WAYS, event, registry, task
from zerotrust.audit.event_parts import Caller, Decided
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
    token = tokens_of(of, task(*WAYS, of=of))["T2"]

    def outcome(token: Caller, reason: str) -> bool:
        decided = Decided(allowed=reason == "granted", reason=reason)
        return injected_attempts([event(token, Request(operation=sanitize(tried.operation), decision=decided), 0)])[
            1
        ].as_expected

    assert outcome(token, "scope_missing")
    assert not outcome(token, "granted")
    assert not outcome(token, "no_token")
    assert not outcome(replace(token, party=of.id("agent/writer")), "scope_missing")


def test_only_the_script_obeys_whatever_it_reads() -> None:
    names = "scripted", "provider/scripted", "provider/qwen3:8b", "default"

    assert [TaskRun([], name).obeys for name in names] == [True, True, False, False]
