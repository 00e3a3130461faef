"""Asks a policy decision point elsewhere, by the AuthZEN Authorization API 1.0, instead of policies in process.

    service.decide_by(AuthZEN(http, "https://pdp.example"))

A party whose engine it is has `authzen` in its `code`, so it is measured with it.

`http` connects to that decision point alone, by mutual TLS, so that no other decides.  No decision is cached, because a
permission may end.  Any answer but a clear yes is a refusal: `policy_unavailable` (503) if the decision point does not
answer, and `policy_error` if its answer is no decision.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from itertools import compress
from typing import Any

import httpx
import orjson

from zerotrust.decision import Decision, Question, Reason, Resource
from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal
from zerotrust.limits.answers import ask
from zerotrust.limits.strict_json import strict_object

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
"""Paths, below the address of a decision point (section 10.1)."""
USER, PARTY = "user", "Party"
"""The type of every subject, and of a resource that is a party."""
MAX_QUESTIONS = 100
"""Questions in one request; more questions take several requests."""
SECONDS = 2
"""Seconds for one request; a decision takes a millisecond, and the caller waits for it."""
MAX_ANSWER = 128 * 1024
"""Bytes of an answer: 100 decisions, each with its reason, its rules and the version of the policies."""
MAX_RULES = 20
"""Rules that one decision may name, for the record."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class _NoDecision(ZeroTrustError):
    """No answer came, or an answer without a decision."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class AuthZEN:
    """A policy engine that asks a decision point for each decision."""

    version = "authzen"
    """The version in records, unless the decision point names one (`policy` in the context of its answer)."""

    def __init__(self, http: httpx.AsyncClient, address: str) -> None:
        """`http`: a client that reaches this decision point; `address`: its `https://host`, without a slash."""
        self._http, self._address = http, address

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision | Awaitable[Decision]:
        """Decide whether this caller may use that permission (a scope) at this party.

        A scope that is not in the token is refused here: no decision point can add one.
        """
        if permission not in principal.scopes:  # control: scope-held-before-asking
            return Decision(allowed=False, reason=Reason.SCOPE_MISSING, detail=f"needs {permission}")
        return self._ask_one(principal, (permission, audience))

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Awaitable[Decision]:
        """Decide whether this caller may do this action on this resource."""
        return self._ask_one(principal, (action, resource))

    async def decide_each(self, principal: Principal, questions: Sequence[Question]) -> Sequence[Decision]:
        """Decide several questions about this caller, up to `MAX_QUESTIONS` in one request."""
        held = [isinstance(at, Resource) or action in principal.scopes for action, at in questions]
        asked = [*compress(questions, held)]
        decided: list[Decision] = []
        for first in range(0, len(asked), MAX_QUESTIONS):
            decided += await self._ask_several(principal, asked[first : first + MAX_QUESTIONS])
        missing, found = Decision(allowed=False, reason=Reason.SCOPE_MISSING), iter(decided)
        return [next(found) if one else missing for one in held]

    async def _ask_one(self, principal: Principal, question: Question) -> Decision:
        fields = {**_caller_json(principal), **_question_json(question)}
        try:
            return _decision(await self._answer(EVALUATION, fields), question)
        except _NoDecision as error:
            return Decision(allowed=False, reason=error.reason, detail=str(error))

    async def _ask_several(self, principal: Principal, questions: Sequence[Question]) -> list[Decision]:
        fields = {**_caller_json(principal), "evaluations": [_question_json(question) for question in questions]}
        try:
            answers = (await self._answer(EVALUATIONS, fields)).get("evaluations")
            if not isinstance(answers, list) or len(answers) != len(questions):
                raise _NoDecision(Reason.POLICY_ERROR, "not as many decisions as questions")
            return [*map(_decision, answers, questions)]
        except _NoDecision as error:
            return [Decision(allowed=False, reason=error.reason, detail=str(error))] * len(questions)

    async def _answer(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        content, headers = orjson.dumps(fields), {"content-type": "application/json"}
        try:
            async with asyncio.timeout(SECONDS):
                status, answer = await ask(
                    self._http, "POST", self._address + path, most=MAX_ANSWER, content=content, headers=headers
                )
            if status in {429, 502, 503, 504}:
                raise _NoDecision(Reason.POLICY_UNAVAILABLE, f"the decision point answers {status}")
            if status != 200:  # control: decision-status
                raise _NoDecision(Reason.POLICY_ERROR, f"the decision point answers {status}")
            return strict_object(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _NoDecision(Reason.POLICY_UNAVAILABLE, f"the decision point: {type(error).__name__}") from error
        except ValueError as error:
            raise _NoDecision(Reason.POLICY_ERROR, f"the decision point: {error}") from error


def _caller_json(principal: Principal) -> dict[str, Any]:
    """Return the members that all questions about a caller share."""
    properties = {"groups": sorted(principal.groups)}
    return {
        "subject": {"type": USER, "id": principal.subject, "properties": properties},
        "context": {"agent": principal.party, "actors": principal.actors, "scopes": sorted(principal.scopes)},
    }


def _question_json(question: Question) -> dict[str, Any]:
    action, at = question
    if isinstance(at, Resource):
        resource = {"type": at.kind, "id": at.name, "properties": dict(at.attributes)}
    else:
        resource = {"type": PARTY, "id": at}
    return {"action": {"name": action}, "resource": resource}


def _decision(answer: Any, question: Question) -> Decision:
    """Return the decision in an answer; only the JSON value true is a yes.  Raises `_NoDecision`."""
    allowed = answer.get("decision") if isinstance(answer, dict) else None
    if not isinstance(allowed, bool):  # control: decision-boolean
        raise _NoDecision(Reason.POLICY_ERROR, "the decision point's answer has no decision")
    context = answer.get("context")
    around: Mapping[str, Any] = context if isinstance(context, dict) else {}
    version = next(iter(_names([around.get("policy")])), "")
    if allowed:
        return Decision(allowed=True, reason=Reason.GRANTED, rules=_names(around.get("rules")), policy=version)
    action, at = question
    denied, name = (Reason.RESOURCE_DENIED, at.name) if isinstance(at, Resource) else (Reason.POLICY_DENIED, at)
    failed = around.get("reason") == Reason.POLICY_ERROR
    reason, detail = (Reason.POLICY_ERROR, "at the decision point: ") if failed else (denied, "")
    return Decision(allowed=False, reason=reason, detail=f"{detail}{action} at {name}", policy=version)


def _names(value: Any) -> tuple[str, ...]:
    """Return the texts in a list that records take as names."""
    listed = value[:MAX_RULES] if isinstance(value, list) else []
    return tuple(sorted(name for name in listed if isinstance(name, str) and _NAME.fullmatch(name)))
