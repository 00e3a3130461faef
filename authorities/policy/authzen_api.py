"""Answers the AuthZEN Authorization API 1.0: evaluation, evaluations, metadata.  Pure.

The caller passes the `DecisionPoint`.  Search is not offered, so the metadata do not name it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from authorities.policy.authzen import BadRequest, Batch, Fields, Question, parse

METADATA = "/.well-known/authzen-configuration"
EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
"""Its paths, below the authority's address (section 10.1)."""


Turn = Callable[[], Awaitable[None]]
"""Returns when the next one of several questions may be decided: nothing else runs while one is decided."""


class Answer(NamedTuple):
    """The answer to a question."""

    decision: bool
    context: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API has it (section 5.5)."""
        return {"decision": self.decision} | ({"context": dict(self.context)} if self.context else {})


class DecisionPoint(Protocol):
    """Decides questions."""

    def decide(self, question: Question) -> Answer:
        """Decide a question.  It answers no to a question that it does not understand, and never fails."""


async def evaluation(point: DecisionPoint, fields: Fields) -> dict[str, Any]:
    """Answer one question (section 6).  Raises `BadRequest`."""
    return point.decide(parse(Question, fields)).as_json()


async def evaluations(point: DecisionPoint, fields: Fields, turn: Turn) -> dict[str, Any]:
    """Answer a batch, in its order (section 7).  Raises `BadRequest` if it is wrong as a whole.

    A question that is wrong by itself is answered with no.
    """
    batch = parse(Batch, fields)
    if not batch.evaluations:
        return await evaluation(point, fields)
    stop = {"deny_on_first_deny": False, "permit_on_first_permit": True}.get(batch.options.evaluations_semantic)
    found: list[dict[str, Any]] = []
    for one in batch.questions():
        await turn()
        answer = _refusal(one) if isinstance(one, BadRequest) else point.decide(one)
        found.append(answer.as_json())
        if answer.decision is stop:
            break
    return {"evaluations": found}


def metadata(address: str) -> dict[str, str]:
    """Return the metadata of a decision point at this address, `https://host`, without a slash (section 9)."""
    return {
        "policy_decision_point": address,
        "access_evaluation_endpoint": address + EVALUATION,
        "access_evaluations_endpoint": address + EVALUATIONS,
    }


def _refusal(error: BadRequest) -> Answer:
    return Answer(decision=False, context={"error": {"status": 400, "message": str(error)}})
