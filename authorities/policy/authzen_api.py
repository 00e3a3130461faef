"""Answers the AuthZEN Authorization API 1.0: evaluation, evaluations, action search, metadata.  Pure.

Who decides is given: a `DecisionPoint`.  Search for subjects and resources is not offered, so the metadata do not name
it: the policy authority holds no list of users or documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from authorities.policy.authzen import (
    DENY_FIRST,
    PERMIT_FIRST,
    Action,
    BadRequest,
    Entity,
    Question,
    body_of,
    context,
    entity,
    question,
    questions,
    semantic,
)
from zerotrust.authzen import EVALUATION, EVALUATIONS

SEARCH_ACTION = "/access/v1/search/action"
METADATA = "/.well-known/authzen-configuration"
"""Paths, below the authority's address (section 10.1)."""


class Answer(NamedTuple):
    """The answer to a question."""

    decision: bool
    context: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API has it (section 5.5)."""
        return {"decision": self.decision} | ({"context": dict(self.context)} if self.context else {})


class DecisionPoint(Protocol):
    """Whoever decides."""

    def decide(self, question: Question) -> Answer:
        """Decide a question.  It answers no to whatever it does not know, and never fails."""

    def actions(self, resource: Entity) -> Iterable[str]:
        """Return the names of all actions that somebody may be permitted on a resource of this type."""


class Response(NamedTuple):
    """What goes back over HTTP."""

    status: int
    body: dict[str, Any] | str
    """An object; for another status than 200, a text."""
    headers: Mapping[str, str]


def respond(
    point: DecisionPoint, path: str, body: bytes, *, content_type: str = "", request_id: str | None = None
) -> Response:
    """Return the response to a POST at one of the paths, with the caller's `X-Request-ID` (section 10.1.3)."""
    headers = {} if request_id is None else {"X-Request-ID": request_id}
    answers = {EVALUATION: evaluation, EVALUATIONS: evaluations, SEARCH_ACTION: search_action}
    if path not in answers:
        return Response(404, "no such endpoint", headers)
    try:
        return Response(200, answers[path](point, body_of(content_type, body)), headers)
    except BadRequest as error:
        return Response(400, str(error), headers)


def evaluation(point: DecisionPoint, told: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one question (section 6).  Raises `BadRequest`."""
    return point.decide(question(told)).as_json()


def evaluations(point: DecisionPoint, told: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a batch, in its order (section 7).  Raises `BadRequest` if it is wrong as a whole.

    A question that is wrong by itself is answered with no.
    """
    stop = {DENY_FIRST: False, PERMIT_FIRST: True}.get(semantic(told))
    if (batch := questions(told)) is None:
        return evaluation(point, told)
    found: list[dict[str, Any]] = []
    for one in batch:
        answer = _refused(one) if isinstance(one, BadRequest) else point.decide(one)
        found.append(answer.as_json())
        if answer.decision is stop:
            break
    return {"evaluations": found}


def search_action(point: DecisionPoint, told: Mapping[str, Any]) -> dict[str, Any]:
    """List what a subject may do with a resource (section 8.6), all of it at once.  Raises `BadRequest`."""
    subject, resource, around = entity(told, "subject"), entity(told, "resource"), context(told)
    if not isinstance(told.get("page", {}), dict):
        raise BadRequest("page is not an object")
    names = sorted(point.actions(resource))
    permitted = [name for name in names if point.decide(Question(subject, Action(name, {}), resource, around)).decision]
    return {"results": [{"name": name} for name in permitted]}


def metadata(address: str) -> dict[str, str]:
    """Return the metadata of a decision point at this address, `https://host`, without a slash (section 9)."""
    return {
        "policy_decision_point": address,
        "access_evaluation_endpoint": address + EVALUATION,
        "access_evaluations_endpoint": address + EVALUATIONS,
        "search_action_endpoint": address + SEARCH_ACTION,
    }


def _refused(error: BadRequest) -> Answer:
    return Answer(decision=False, context={"error": {"status": 400, "message": str(error)}})
