"""The fixture of AuthZEN's certification scenario, section 3: a decision point with policies and entities of its own.

Two people, two records, three actions, and eight decisions that Cedar makes.
"""

import json

import cedarpy

from authorities.policy.authzen import Entity, Question
from authorities.policy.authzen_api import Answer

POLICIES = """
@id("read")
permit (principal in team::"known", action == Action::"read", resource);

@id("write-active")
permit (principal == user::"alice", action == Action::"write", resource)
when { resource has status && resource.status == "active" };

@id("write-archived")
permit (principal in team::"known", action == Action::"write", resource)
when { principal has role && principal.role == "admin" && resource has status && resource.status == "archived" };

@id("delete-softly")
permit (principal == user::"alice", action == Action::"delete", resource)
when { context has soft && context.soft };
"""
KNOWN: dict[tuple[str, str], dict[str, str]] = {
    ("user", "alice"): {},
    ("user", "bob"): {"role": "admin"},
    ("record", "record-1"): {"status": "active"},
    ("record", "record-2"): {"status": "archived"},
}


class FixturePoint:
    """Decides about the fixture; what a request says of somebody counts before what is known."""

    def decide(self, question: Question) -> Answer:
        request = {
            "principal": {"type": question.subject.type, "id": question.subject.id},
            "action": {"type": "Action", "id": question.action.name},
            "resource": {"type": question.resource.type, "id": question.resource.id},
            "context": dict(question.action.properties),
        }
        entities = json.dumps([_entity(question.subject), _entity(question.resource)])
        return Answer(cedarpy.is_authorized(request, POLICIES, entities).allowed, {})


def _entity(told: Entity) -> dict[str, object]:
    known = KNOWN.get((told.type, told.id))
    return {
        "uid": {"type": told.type, "id": told.id},
        "attrs": (known or {}) | dict(told.properties),
        "parents": [{"type": "team", "id": "known"}] if told.type == "user" and known is not None else [],
    }
