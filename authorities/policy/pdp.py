"""Answers AuthZEN questions as the services decide: the same policies, by the same engine.  Pure.

Besides its action (a scope, or an action on a document), a question has to have:

    subject   type `user`, the user's id, and in `properties` the `groups`
    resource  type `Party` with the identifier of the callee; or type `Document` with its attributes in `properties`
    context   `agent`, the identifier of the party that presents the token; `scopes`, those of the token; and `actors`,
              the parties that act for the user, the current one first; none if the user's client calls

The subject is the user and the agent is in the context, as in AuthZEN's profile for MCP (COAZ, a draft of 2026).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from authorities.policy.authzen import LONGEST_TEXT, Question
from authorities.policy.authzen_api import Answer
from authorities.policy.callers import caller
from authorities.policy.versions import Version
from zerotrust.decision import Denied, Reason, Resource
from zerotrust.identity import MAX_ACTORS, Principal
from zerotrust.policy import CedarPolicy, PolicyError
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of

USER, PARTY = "user", "Party"
"""The type of every subject, and of a resource that is a party."""
MOST_NAMES = 20
"""Groups or scopes in one question.  A token has a few; a decision takes longer with each."""
MOST_PROPERTIES = 16
"""Attributes of a resource in one question.  A document has four."""
_UNKNOWN = Answer(decision=False, context={"reason": "unknown_question"})


class ServicePoint:
    """Decides with one version of the policies."""

    def __init__(self, engine: CedarPolicy, name: str) -> None:
        self._engine, self._name = engine, name

    def decide(self, question: Question) -> Answer:
        """Decide as a service would.  The answer has the reason, the rules that permit, and the policies' version."""
        who, resource = _principal(question), question.resource
        if who is None:
            return _UNKNOWN
        if resource.type == PARTY:
            decision = self._engine.decide(who, question.action.name, resource.id)
        elif len(found := resource.properties) <= MOST_PROPERTIES and all(map(_is_text, [*found, *found.values()])):
            known = tuple(found.items())
            decision = self._engine.decide_on(who, question.action.name, Resource(resource.type, resource.id, known))
        else:
            return _UNKNOWN
        told: dict[str, Any] = {"reason": str(decision.reason), "policy": self._name}
        return Answer(decision.allowed, told | ({"rules": [*decision.rules]} if decision.rules else {}))


class PointInForce:
    """Returns the decision point of the version in force."""

    def __init__(self, active: Callable[[], Version], registry: Callable[[], Registry]) -> None:
        self._active, self._registry = active, registry
        self._made: tuple[int, Registry, ServicePoint | str] | None = None

    def __call__(self) -> ServicePoint:
        """Return the point, made anew for another version or registry.

        Raises `Denied` if the version does not fit the registry: then no party can decide by it.
        """
        version, registry = self._active(), self._registry()
        if self._made is None or self._made[0] != version.number or self._made[1] is not registry:
            self._made = version.number, registry, _point(version, registry)
        if isinstance(point := self._made[2], str):
            raise Denied(Reason.POLICY_UNKNOWN, point)
        return point


def _point(version: Version, registry: Registry) -> ServicePoint | str:
    """Return the decision point of a version, or why it does not fit the registry."""
    try:
        # Without a memory: a caller can make up any number of questions.
        return ServicePoint(policy_of(version.content.document, registry, memory=0), version.name)
    except PolicyError as error:
        return str(error)


def _principal(question: Question) -> Principal | None:
    """Return the caller that a question describes, or None if it does not describe one."""
    around, agent = question.context, question.context.get("agent")
    groups, scopes = _names(question.subject.properties, "groups"), _names(around, "scopes")
    actors = _names(around, "actors")
    if question.subject.type != USER or not _is_text(agent) or None in (groups, scopes, actors):
        return None
    if len(actors or ()) > MAX_ACTORS or (actors and actors[0] != agent):
        return None  # the current actor is the party that presents the token
    return caller(agent, subject=question.subject.id, actors=actors or (), scopes=scopes or (), groups=groups or ())


def _names(told: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """Return a list of texts; empty if it is absent, None if it is something else or too much."""
    found = told.get(key, [])
    if not isinstance(found, list) or len(found) > MOST_NAMES or not all(map(_is_text, found)):
        return None
    return tuple(found)


def _is_text(found: Any) -> TypeGuard[str]:
    return isinstance(found, str) and len(found) <= LONGEST_TEXT
