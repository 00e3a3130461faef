"""A decision point elsewhere as the policy engine: what it is asked, and that nothing but its clear yes is a yes."""

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from authzen.client import MAX_ANSWER, MAX_QUESTIONS, MAX_RULES, AuthZEN
from testkit import principal
from zerotrust.decision import Decision, Question, Reason, Resource

WRITER, ORCHESTRATOR = "spiffe://test.example/agent/writer", "spiffe://test.example/orchestrator"
TOOL = "spiffe://test.example/tool/documents"
WHO = principal(actors=(WRITER, ORCHESTRATOR), scopes=frozenset({"tool.write", "tool.read"}))
DRAFT = Resource("Document", "D-1", (("state", "draft"), ("owner", "alice")))
YES = {"decision": True}
BOTH: list[Question] = [("tool.write", TOOL), ("document.replace", DRAFT)]

Handler = Callable[[httpx.Request], Any]


def engine(handler: Handler) -> AuthZEN:
    return AuthZEN(httpx.AsyncClient(transport=httpx.MockTransport(handler)), "https://pdp.test")


def answering(body: Any, status: int = 200, encoding: str | None = None) -> Handler:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-encoding": encoding} if encoding else {}
    return lambda _request: httpx.Response(status, content=content, headers=headers)


async def all_ways(pdp: AuthZEN) -> list[Decision]:
    """One question about a party, one about a document, and both at once."""
    about_party = pdp.decide(WHO, "tool.write", TOOL)
    assert not isinstance(about_party, Decision)
    return [await about_party, await pdp.decide_on(WHO, "document.replace", DRAFT), *await pdp.decide_each(WHO, BOTH)]


async def test_many_rules_and_a_version_that_is_none_are_left_out() -> None:
    names = [f"rule-{number}" for number in range(MAX_RULES + 1)]
    for version in (None, 3, "", "a b", "x" * 81, ["3"]):
        told = YES | {"context": {"rules": names, "policy": version}}
        decision = await engine(answering(told)).decide_on(WHO, "document.replace", DRAFT)
        assert (len(decision.rules), decision.policy) == (MAX_RULES, "")
    contexts: list[Any] = [None, 7, [], {"rules": "all"}, {"rules": {"a": 1}}]
    for context in contexts:
        assert (await engine(answering(YES | {"context": context})).decide_on(WHO, "x", DRAFT)).rules == ()


async def test_a_scope_that_the_token_lacks_is_refused_and_nobody_is_asked() -> None:
    pdp = engine(answering(YES | {"evaluations": [YES]}))
    less = principal(scopes=frozenset({"tool.read"}))

    refused = pdp.decide(less, "tool.write", TOOL)
    assert isinstance(refused, Decision)
    assert refused.reason is Reason.SCOPE_MISSING
    assert [one.reason for one in await pdp.decide_each(less, [("tool.write", TOOL), ("tool.read", TOOL)])] == [
        Reason.SCOPE_MISSING,
        Reason.GRANTED,
    ]
    assert await pdp.decide_each(less, []) == []


BAD_ANSWERS = {
    "no JSON": b"yes",
    "empty": b"",
    "a list": [True],
    "true": True,
    "no decision": {},
    "a text": {"decision": "true"},
    "a number": {"decision": 1},
    "null": {"decision": None},
    "an object": {"decision": {"decision": True}},
    "twice": b'{"decision": false, "decision": true, "evaluations": [{"decision": true, "decision": true}]}',
    "too long": YES | {"evaluations": [YES, YES], "padding": "x" * MAX_ANSWER},
    "too many elements": YES | {"evaluations": [YES, YES], "padding": [0] * 10_001},
    "too deep": b'{"decision": true, "x": ' + b"[" * 100 + b"]" * 100 + b"}",
    "no UTF-8": b'{"decision": true, "x": "\xff"}',
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_an_answer_that_is_no_decision_is_an_error(answer: Any) -> None:
    decisions = await all_ways(engine(answering(answer)))

    assert {(one.allowed, one.reason) for one in decisions} == {(False, Reason.POLICY_ERROR)}


@pytest.mark.parametrize(
    "answers",
    [[], [YES], [YES, YES, YES], [YES, {}], [YES, True], [YES, {"decision": "true"}], {"0": YES}, None, "yes"],
)
async def test_a_batch_of_which_one_is_no_decision_is_an_error_whole(answers: Any) -> None:
    decisions = await engine(answering({"evaluations": answers} | YES)).decide_each(WHO, BOTH)

    assert [(one.allowed, one.reason) for one in decisions] == [(False, Reason.POLICY_ERROR)] * 2


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 400, 401, 403, 404, 500])
async def test_another_status_is_no_decision(status: int) -> None:
    asked: list[str] = []

    def moved(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        headers = {"location": "https://elsewhere.test/"}
        return httpx.Response(status, json=YES | {"evaluations": [YES, YES]}, headers=headers)

    decisions = await all_ways(engine(moved))

    assert {(one.allowed, one.reason) for one in decisions} == {(False, Reason.POLICY_ERROR)}
    assert {one.detail for one in decisions} == {f"the decision point answers {status}"}
    assert set(asked) == {"pdp.test"}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_decision_point_that_is_busy_or_away_is_unavailable(status: int) -> None:
    decisions = await all_ways(engine(answering(YES | {"evaluations": [YES, YES]}, status)))

    assert {(one.allowed, one.reason, one.reason.status) for one in decisions} == {
        (False, Reason.POLICY_UNAVAILABLE, 503)
    }


async def test_a_slow_decision_point_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authzen.client.SECONDS", 0.02)
    monkeypatch.setattr("zerotrust.limits.answers.SECONDS", 1_000)

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(30):
        pdp = AuthZEN(httpx.AsyncClient(transport=httpx.MockTransport(slow)), "https://pdp.test")
        decisions = await all_ways(pdp)

    assert {(one.allowed, one.reason) for one in decisions} == {(False, Reason.POLICY_UNAVAILABLE)}


async def test_a_compressed_answer_is_an_error() -> None:
    packed = gzip.compress(json.dumps(YES).encode())
    decision = await engine(answering(packed, encoding="gzip")).decide_on(WHO, "x", DRAFT)

    assert decision.reason is Reason.POLICY_ERROR


async def test_nothing_is_remembered() -> None:
    """Neither a yes nor a no: the next one is asked for."""
    said: Sequence[bool] = [True, False, True]
    answers = iter(said)
    pdp = engine(lambda _request: httpx.Response(200, json={"decision": next(answers)}))

    assert [(await pdp.decide_on(WHO, "document.replace", DRAFT)).allowed for _ in said] == said


async def test_more_questions_than_fit_into_one_request_take_several() -> None:
    sizes: list[int] = []

    def pdp(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["evaluations"]
        sizes.append(len(asked))
        return httpx.Response(200, json={"evaluations": [{"decision": one["resource"]["id"] != "7"} for one in asked]})

    questions: list[Question] = [("x", Resource("Document", str(number))) for number in range(MAX_QUESTIONS + 5)]
    decisions = await engine(pdp).decide_each(WHO, questions)

    assert sizes == [MAX_QUESTIONS, 5]
    assert [number for number, one in enumerate(decisions) if not one] == [7]
