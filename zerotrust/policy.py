"""Decides by Cedar policies, in process.  The services evaluate the policies, and do not own them.  Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import cedarpy
from cedarpy import pst

from zerotrust.decision import Decision, Question, Reason, Resource, Rule
from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal
from zerotrust.limits.bounded import Bounded

Uid = tuple[str, str]
"""The type and the id of an entity."""
Entity = Mapping[str, Any]
"""An entity as Cedar JSON."""


class Entities:
    """All entities of one version of the policies."""

    def __init__(self, entities: Iterable[Entity], named: Iterable[Uid] | None) -> None:
        """`named`: the entities that the policies name; None if that is unknown, so that they may name any."""
        self._all = {_uid(entity["uid"]): entity for entity in entities}
        self._named = [*self._all] if named is None else [*named]

    def __contains__(self, uid: Uid) -> bool:
        return uid in self._all

    def about(self, *roots: Uid) -> list[Entity]:
        """Return what a decision about `roots` can read: these, the entities that policies name, and all referred to.

        A policy gets from an entity to another one by an attribute, and to its parents by `in`.  It cannot take an
        entity out of a set, so sets are not followed: the parties that a party may call are only compared.
        """
        found: dict[Uid, Entity] = {}
        left = [*roots, *self._named]
        while left:
            if (uid := left.pop()) not in found and (entity := self._all.get(uid)):
                found[uid] = entity
                left += map(_uid, entity.get("parents", ()))
                left += _references(entity.get("attrs", {}))
        return [found[uid] for uid in sorted(found)]


def _references(value: Any) -> Iterator[Uid]:
    """Yield the entities in an attribute, or in a record of attributes; with a schema, they need no `__entity`."""
    if isinstance(value, dict):
        fields = value.get("__entity", value)
        if isinstance(fields.get("type"), str) and isinstance(fields.get("id"), str):
            yield fields["type"], fields["id"]
        for inner in value.values():
            yield from _references(inner)


def _uid(fields: Mapping[str, Any]) -> Uid:
    fields = fields.get("__entity", fields)
    return fields["type"], fields["id"]


class PolicyError(ZeroTrustError):
    """Policies, schema and entities do not fit together; no service starts with them."""


MAX_DEPTH = 32
"""Levels of brackets, and attributes of a path.  Cedar's parser recurses: a thousand levels end the process."""
MAX_JOINS = 200
"""Clauses, operators, calls and brackets in one policy.  A chain of 1,500 without a bracket ends the process too."""
NO_CODE = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)|//[^\n\r]*', re.DOTALL)
"""Strings and comments.  An unclosed string goes to the end of the text; otherwise each quote in it would be tried."""
_JOIN = re.compile(r"&&|\|\||[-+*!.([]|[=<>]=?|\b(?:when|unless|if|in|is|has|like)\b")
_LONG_PATH = re.compile(rf"(?:\.\s*\w+\s*){{{MAX_DEPTH + 1}}}")


def check_bounds(policies: str, schema: str = "") -> None:
    """Raise `PolicyError` if policies or their schema are nested too deep, or a policy is too long, to be parsed."""
    _check_depth(policies, "([{", ")]}", "policies")
    _check_depth(schema, "([{<", ")]}>", "schema")  # in policies, these two are comparisons


def _check_depth(text: str, opening: str, closing: str, name: str) -> None:
    code, depth = NO_CODE.sub("", text), 0
    for character in code:
        depth += (character in opening) - (character in closing and depth > 0)
        if depth > MAX_DEPTH:  # control: policy-depth
            raise PolicyError(f"{name}: more than {MAX_DEPTH} brackets inside one another")
    if _LONG_PATH.search(code):  # control: policy-path
        raise PolicyError(f"{name}: a path of more than {MAX_DEPTH} attributes")
    if any(len(_JOIN.findall(statement)) > MAX_JOINS for statement in code.split(";")):
        raise PolicyError(f"{name}: more than {MAX_JOINS} clauses, operators, calls and brackets in one statement")


def _named_entities(policies: str) -> set[Uid] | None:
    """Return the entities that policies name; None if they are nested too deep for cedarpy, though not for Cedar."""
    try:
        found = cedarpy.policies_to_pst(policies).static_policies.values()
    except ValueError:
        return None
    return {(str(uid.type), uid.id) for policy in found for uid in pst.entity_uids(policy)}


class CedarPolicy:
    """One version of the policies, parsed once.

    A decision depends on its arguments alone, so it is cached by all of them.
    """

    MEMORY = 10_000
    """Decisions that each service caches, about 1 KiB each.  The policy authority caches none, because its
    callers make up each question."""

    def __init__(
        self,
        *,
        policies: str,
        schema: str,
        entities: list[dict[str, Any]],
        departments: Iterable[str] = (),
        memory: int = MEMORY,
    ) -> None:
        """Take policies and schema as Cedar text, entities as Cedar JSON, and the groups that are departments.

        `memory`: the number of decisions that are cached; 0 if callers may write anything into a question.
        Raises `PolicyError` if they do not fit together, or are nested too deep.
        """
        self._departments = frozenset(departments)
        check_bounds(policies, schema)
        try:
            checked = cedarpy.validate_policies(policies, schema, release_gil=True)
            if not checked.validation_passed:
                raise PolicyError("; ".join(str(error) for error in checked.errors))
            self._policies = cedarpy.PolicySet.from_str(policies)
            self._entities = cedarpy.Entities.from_json_str(json.dumps(entities), schema)
            self._some = Entities(entities, _named_entities(policies))
        except ValueError as error:
            raise PolicyError(str(error)) from error
        self._schema, self._text = cedarpy.Schema.from_str(schema), policies
        content = "\0".join([policies, schema, json.dumps(entities), *sorted(self._departments)])
        self.version = hashlib.sha256(content.encode()).hexdigest()[:12]
        self._memory = Bounded[tuple[object, ...], Decision](memory)
        self._about: dict[str, cedarpy.Entities] = {}

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by their `@id`, for people."""
        found = dict[str, Rule]()
        for one in json.loads(cedarpy.policies_to_json_str(self._text))["staticPolicies"].values():
            notes, on = one.get("annotations", {}), one["action"]
            named = on.get("entities", [on["entity"]] if "entity" in on else [])
            actions = frozenset(uid["id"] for uid in named)
            found[notes.get("id", "")] = Rule(notes.get("description", ""), actions)
        return found

    def decide(self, principal: Principal, permission: str, audience: str) -> Decision:
        """Decide whether this caller may use that permission (a scope) at this party.

        User, agent, scope and policy must all permit it.  Nested actors never count (RFC 8693 section 4.1).
        """
        if permission not in principal.scopes:  # control: scope-held
            return Decision(allowed=False, reason=Reason.SCOPE_MISSING, detail=f"needs {permission}")
        return self._ask(principal, permission, Resource("Party", audience), permission=permission)

    def decide_on(self, principal: Principal, action: str, resource: Resource) -> Decision:
        """Decide whether this caller may do this action on this resource: for handlers, which know the resource."""
        decision = self._ask(principal, action, resource, permission="")
        if decision.reason is Reason.POLICY_DENIED:
            return Decision(allowed=False, reason=Reason.RESOURCE_DENIED, detail=f"{action} {resource.name}")
        return decision

    def decide_each(self, principal: Principal, questions: Sequence[Question]) -> list[Decision]:
        return [
            self.decide_on(principal, action, at) if isinstance(at, Resource) else self.decide(principal, action, at)
            for action, at in questions
        ]

    def _ask(self, principal: Principal, action: str, resource: Resource, *, permission: str) -> Decision:
        who = (principal.party, principal.subject, principal.delegated, principal.scopes, principal.groups)
        key = (who, action, resource, permission)
        if (known := self._memory.get(key)) is not None:
            return known
        self._memory[key] = answer = self._evaluate(principal, action, resource, permission)
        return answer

    def _evaluate(self, principal: Principal, action: str, resource: Resource, permission: str) -> Decision:
        departments = principal.groups & self._departments
        context = {
            "subject": principal.subject,
            "delegated": principal.delegated,
            "scopes": sorted(principal.scopes),
            "groups": sorted(principal.groups),
            "departments": sorted(departments),
            "one_department": len(departments) == 1,
        }
        thing = {"type": resource.kind, "id": resource.name}
        request = {
            "principal": {"type": "Party", "id": principal.party},  # control: policy-judges-who-acts
            "action": {"type": "Action", "id": action},
            "resource": thing,
            "context": context | ({"permission": permission} if permission else {}),
        }
        try:
            entities = self._entities_with(principal.party, resource) if resource.attributes else self._entities
            answer = cedarpy.is_authorized(request, self._policies, entities, schema=self._schema)
        except ValueError as error:
            return Decision(allowed=False, reason=Reason.POLICY_ERROR, detail=str(error))
        # Cedar skips a policy whose evaluation fails, even a `forbid`: so any error denies.
        if answer.diagnostics.errors:
            return Decision(
                allowed=False, reason=Reason.POLICY_ERROR, detail="; ".join(map(str, answer.diagnostics.errors))
            )
        if not answer.allowed:
            return Decision(allowed=False, reason=Reason.POLICY_DENIED, detail=f"{action} at {resource.name}")
        named = answer.diagnostics.id_annotations_by_reason
        rules = sorted(named.get(reason, reason) for reason in answer.diagnostics.reasons)
        return Decision(allowed=True, reason=Reason.GRANTED, rules=tuple(rules))

    def _entities_with(self, party: str, resource: Resource) -> cedarpy.Entities:
        """Return the resource with those entities that the decision can read; adding a resource copies all of them."""
        key = party if ("Party", party) in self._some else ""  # decisions about all others read the same
        if (resource.kind, resource.name) in self._some:
            about = self._entities  # this fails: a resource may not replace an entity
        elif (known := self._about.get(key)) is not None:
            about = known
        else:
            some = json.dumps(self._some.about(("Party", party)))
            about = self._about[key] = cedarpy.Entities.from_json_str(some, schema=self._schema)
        thing = {"uid": {"type": resource.kind, "id": resource.name}, "attrs": dict(resource.attributes), "parents": []}
        return about.with_added_json_str(json.dumps([thing]), schema=self._schema)
