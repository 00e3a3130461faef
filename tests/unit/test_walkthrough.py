"""What the walkthrough counts as expected, and how it names tokens and models."""

import re
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from demo import again
from demo.again import insist, until_settled
from demo.catalogue import ATTEMPTS, BY_NAME
from demo.checks import Attempt, Checks
from demo.participants import show_receipts
from demo.story import TRIED, TaskRun, injected_attempts, post_task
from demo.tokens import tokens_of
from demo.walk import summary, walk
from registration.run_lock import RunError
from start.program import console
from start.system import Running
from tests.support.told_task import WAYS, event, registry, task
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zt.errors import RefusedError
from zt.people.key import BoundToken, Key

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


# --- a service that cannot tell for now -------------------------------------------------------------------------------

UNKNOWN = {"steps": [], "result": {"event": "failed", "text": "agent/reader: revocation_unknown"}}
DONE = {"steps": [], "result": {"event": "finished", "text": "Filed as DRAFT-1."}}


class Told:
    """A system whose tasks are answered so, one after the other, the last one ever again; it has no agents."""

    registry = registry()
    login = type("Login", (), {"auth": BoundToken(Key(), "t0")})

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers, self.asked = list(answers), 0

    async def sign_in(self, *_who: str) -> Any:
        return self.login

    def address(self, _name: str) -> str:
        return "https://party.test"

    def user(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("demo.again", "demo.story"):
        monkeypatch.setattr(f"{module}.PAUSE", 0.0)


async def post(system: Told) -> httpx.Response:
    async with system.user() as http:
        return await post_task(http, system.address(""), await system.sign_in())


@pytest.mark.usefixtures("quick")
async def test_a_task_is_asked_for_again_while_a_service_cannot_tell() -> None:
    unknown = httpx.Response(503, json={"reason": "revocation_unknown"}), httpx.Response(503, json=UNKNOWN)
    system = Told(*unknown, httpx.Response(200, json=DONE))

    assert (await post(system)).json() == DONE
    assert system.asked == 3


@pytest.mark.parametrize(("status", "asked"), [(503, again.TRIES), (504, 1), (403, 1)])
@pytest.mark.usefixtures("quick")
async def test_a_task_that_does_not_finish_is_an_error_with_its_cause(status: int, asked: int) -> None:
    system = Told(httpx.Response(status, json=UNKNOWN))

    with pytest.raises(RunError, match=f"did not finish: {status}, agent/reader: revocation_unknown; the load of"):
        await post(system)
    assert system.asked == asked


@pytest.mark.usefixtures("quick")
async def test_a_part_that_fails_is_told_and_the_summary_comes_all_the_same() -> None:
    async def surprise(_system: Running, checks: Checks) -> None:
        async def attempts() -> Any:
            yield ALL[0]
            raise KeyError("agent/writer")

        await checks.make_all(attempts())

    system = cast("Running", Told(httpx.Response(503, json=UNKNOWN)))
    with console.capture() as told:
        status = await walk(system, (show_receipts, surprise, summary))
    said = " ".join(told.get().split())

    assert status == 1
    assert "✗ this part failed: the task did not finish: 503, agent/reader: revocation_unknown; the load of" in said
    assert "✗ this part failed: KeyError('agent/writer') in test_walkthrough.py, line" in said
    assert "Failed parts: show receipts (the task did not finish: 503, agent/reader: revocation_unknown; the" in said
    assert said.endswith("All 1 checks behaved as expected: 1 attempt refused, 0 legitimate calls allowed.")


@pytest.mark.usefixtures("quick")
async def test_an_attempt_that_a_service_cannot_decide_is_made_again_and_not_without_end() -> None:
    answers = ["503 revocation_unknown", "200 ok", "401 revoked"]

    async def ask() -> str:
        return answers.pop(0)

    async def silence() -> str:
        raise httpx.ReadTimeout("nothing")

    assert await until_settled(ask, "200") == "401 revoked"
    assert await until_settled(silence) == "no answer: ReadTimeout"


@pytest.mark.parametrize(("status", "given"), [(503, again.TRIES), (409, 1)])
@pytest.mark.usefixtures("quick")
async def test_a_command_is_given_again_only_while_the_authority_cannot_tell(status: int, given: int) -> None:
    tries = []

    async def command() -> None:
        tries.append(1)
        raise RefusedError("refused", status, "why")

    with pytest.raises(RefusedError):
        await insist(command)
    assert len(tries) == given
