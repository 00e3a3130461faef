"""Says why the policies refuse: which rules came nearest, and what each of them missed.  Pure.

The same engine evaluates each condition of a rule by itself.  A condition that cannot be evaluated counts as missed.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from authorities.policy import cedar
from authorities.policy.rules import Rule, rules_of
from zerotrust.decision import Resource
from zerotrust.identity import Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of

MISSED = {
    "context.scopes.contains(context.permission)": "the token does not have the scope",
    "principal.delegates.contains(context.permission)": "the registry does not let this party hold the scope",
    "principal.may_call.contains(resource)": "the registry does not let this party call that party",
    "resource.serves.contains(context.permission)": "that party does not offer it",
    "!context.departments.isEmpty()": "the user belongs to no department",
    "!context.delegated || context.one_department": "a party acts for the user, but not in one department",
    'context.scopes.contains("registry.admin")': "the token does not have the scope registry.admin",
    'principal.delegates.contains("registry.admin")': "the registry does not let this party hold registry.admin",
    'resource.serves.contains("registry.admin")': "that party does not offer registry.admin",
    'context.scopes.contains("policy.admin")': "the token does not have the scope policy.admin",
    'principal.delegates.contains("policy.admin")': "the registry does not let this party hold policy.admin",
    'resource.serves.contains("policy.admin")': "that party does not offer policy.admin",
    'context.groups.contains("/operators")': "the user is not an operator",
    "!context.delegated": "a party acts for the user, and only a person may do this",
    'context.scopes.contains("tool.read")': "the token does not have the scope tool.read",
    'context.scopes.contains("tool.write")': "the token does not have the scope tool.write",
    "context.departments.contains(resource.department)": "the document is not in a department of the user",
    '["public", "internal"].contains(resource.classification)': "the document is neither public nor internal",
    'resource.classification == "restricted"': "the document is not restricted",
    'resource.classification == "internal"': "the document is not internal",
    'resource.classification == "public"': "the document is not public",
    "resource.owner == context.subject": "it does not belong to the user",
    'resource.state == "draft"': "the document is not a draft",
    'resource.state == "published"': "the document is not published",
}
"""Conditions, as rules have them, each with the explanation if it does not hold."""


class Near(NamedTuple):
    """A rule about the action, and what it missed, in words."""

    rule: Rule
    missed: tuple[str, ...]


class Explanations:
    """Explains the answers of one version of the policies."""

    def __init__(self, document: PolicyDocument, registry: Registry) -> None:
        """Take the policies.  Raises `PolicyError` or `ValueError` if they do not fit."""

        self._document, self._registry = document, registry
        parsed = zip(rules_of(document.policies), cedar.as_json(document.policies), strict=True)
        self._rules = [(rule, policy, self._build(policy)) for rule, policy in parsed]
        self._conditions = dict[str, list[tuple[str, CedarPolicy]]]()

    def _build(self, policy: dict[str, Any], *conditions: Any) -> CedarPolicy:
        body = [{"kind": "when", "body": condition} for condition in conditions]
        text = cedar.text_of(policy | {"conditions": body})
        return policy_of(self._document.model_copy(update={"policies": text}), self._registry)

    def _conditions_of(self, rule: Rule, policy: dict[str, Any]) -> list[tuple[str, CedarPolicy]]:
        """Return each condition of a rule in words, with its own engine: made on demand, because each takes 10 ms."""
        if rule.place not in self._conditions:
            self._conditions[rule.place] = [(in_words(one), self._build(policy, one)) for one in _conditions(policy)]
        return self._conditions[rule.place]

    def nearest(self, who: Principal, action: str, at: str | Resource) -> list[Near]:
        """Return the rules about this action that missed least, in their order; a rule that permits missed nothing.

        `at`: the identifier of the party that is called, or the document.  Raises as `__init__`.
        """
        # An engine refuses a call without its scope before any rule; here the other conditions are to be named, too.
        without_scope = isinstance(at, str) and action not in who.scopes
        lacking = (f"the token does not have the scope {action}",) if without_scope else ()
        asking = replace(who, scopes=who.scopes | {action}) if without_scope else who

        def holds(engine: CedarPolicy) -> bool:
            decided = engine.decide(asking, action, at) if isinstance(at, str) else engine.decide_on(asking, action, at)
            return decided.allowed

        found = [
            Near(rule, (*lacking, *(words for words, engine in self._conditions_of(rule, policy) if not holds(engine))))
            for rule, policy, any_caller in self._rules
            if holds(any_caller)
        ]
        least = min((len(near.missed) for near in found), default=0)
        return [near for near in found if len(near.missed) == least]


def in_words(condition: Any) -> str:
    """Return the explanation if a condition does not hold; for a condition without one, its Cedar."""
    return _words().get(json.dumps(condition, sort_keys=True), "a condition does not hold: " + _cedar(condition))


@cache
def _words() -> dict[str, str]:
    texts = "\n".join(f"permit (principal, action, resource) when {{ {text} }};" for text in MISSED)
    bodies = (policy["conditions"][0]["body"] for policy in cedar.as_json(texts))
    return {json.dumps(body, sort_keys=True): words for body, words in zip(bodies, MISSED.values(), strict=True)}


def _conditions(policy: dict[str, Any]) -> Iterator[Any]:
    """Yield the conditions that a policy joins by `&&`, in its order."""
    for clause in policy["conditions"]:
        left = [clause["body"] if clause["kind"] == "when" else {"!": {"arg": clause["body"]}}]
        while left:
            condition = left.pop()
            if isinstance(condition, dict) and "&&" in condition:
                left += [condition["&&"]["right"], condition["&&"]["left"]]
            else:
                yield condition


def _cedar(condition: Any) -> str:
    policy = {"effect": "permit", **{name: {"op": "All"} for name in ("principal", "action", "resource")}}
    text = cedar.text_of(policy | {"conditions": [{"kind": "when", "body": condition}]})
    return " ".join(text.partition("{")[2].rpartition("}")[0].split())
