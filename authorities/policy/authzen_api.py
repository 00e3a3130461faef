"""Answers the AuthZEN Authorization API 1.0: evaluation, evaluations, metadata.  Pure.

The caller passes the `DecisionPoint`.  Search is not offered, so the metadata do not name it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from authorities.policy.authzen import BadRequest, Batch, Fields, Question, parse, parse_body

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


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: dict[str, Any] | str
    """An object; for another status than 200, a text."""
    headers: Mapping[str, str]


async def respond(  # noqa: PLR0913 - what a request has
    point: DecisionPoint, path: str, body: bytes, turn: Turn, *, content_type: str = "", request_id: str | None = None
) -> Response:
    """Return the response to a POST at one of the paths, with the caller's `X-Request-ID` (section 10.1.3)."""
    headers = {} if request_id is None else {"X-Request-ID": request_id}
    if path not in {EVALUATION, EVALUATIONS}:
        return Response(404, "no such endpoint", headers)
    try:
        fields = parse_body(content_type, body)
        if path == EVALUATION:
            return Response(200, evaluation(point, fields), headers)
        return Response(200, await evaluations(point, fields, turn), headers)
    except BadRequest as error:
        return Response(400, str(error), headers)


def evaluation(point: DecisionPoint, fields: Fields) -> dict[str, Any]:
    """Answer one question (section 6).  Raises `BadRequest`."""
    return point.decide(parse(Question, fields)).as_json()


async def evaluations(point: DecisionPoint, fields: Fields, turn: Turn) -> dict[str, Any]:
    """Answer a batch, in its order (section 7).  Raises `BadRequest` if it is wrong as a whole.

    A question that is wrong by itself is answered with no.
    """
    batch = parse(Batch, fields)
    if not batch.evaluations:
        return evaluation(point, fields)
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
