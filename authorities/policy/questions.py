"""Explains decisions that records tell of: who asked for what, and which rules said yes or came nearest.  Pure."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from authorities.policy.callers import caller
from authorities.policy.explain import Explanations
from authorities.policy.rules import rules_of
from zerotrust.decision import Decision, Resource
from zerotrust.identity import MAX_ACTORS, Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of

MOST_ASKED = 100
"""Decisions in one request.  A task has a few dozen."""
MOST_VERSIONS = 16
"""Versions in one request.  A task has one, or two while another one is activated."""
MOST_NAMES = 100
"""Groups, and as many scopes, of the caller of a decision.  A token has a few."""
MOST_ATTRIBUTES = 16
"""Of a resource.  A document has four."""

LONGEST_TEXT = 1_000
"""Characters of a name in such a decision.  They have some dozen."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Names = Annotated[tuple[Text, ...], Field(max_length=MOST_NAMES)]


VersionName = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}-[0-9a-f]{12}$")]
"""As records have it: the number and the first digits of the digest."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thing(_Shape):
    """A resource, with the attributes that the policies were told."""

    kind: Text
    name: Text
    attributes: Annotated[dict[Text, Text], Field(max_length=MOST_ATTRIBUTES)] = {}


class Asked(_Shape):
    """A question that was refused."""

    policy: VersionName
    """The version that decided."""
    subject: Text
    party: Text
    actors: Annotated[tuple[Text, ...], Field(max_length=MAX_ACTORS)]
    scopes: Names
    groups: Names
    action: Text
    at: Text | Thing
    """The identifier of the party that was called, or the resource."""

    @property
    def who(self) -> Principal:
        """The caller."""
        return caller(self.party, subject=self.subject, actors=self.actors, scopes=self.scopes, groups=self.groups)

    @property
    def resource(self) -> str | Resource:
        """What the policies are asked about."""
        if isinstance(self.at, str):
            return self.at
        return Resource(self.at.kind, self.at.name, tuple(sorted(self.at.attributes.items())))


class Explainer:
    """Explains with one version of the policies."""

    def __init__(self, document: PolicyDocument, registry: Registry) -> None:
        """Take the policies.  Raises `PolicyError` or `ValueError` if they do not fit this registry."""
        self._engine: CedarPolicy = policy_of(document, registry)
        self._explanations = Explanations(document, registry)
        named = {action for rule in rules_of(document.policies) for action in rule.actions}
        self._scopes = sorted(registry.scopes)
        self._others = sorted(name for name in named if "." in name and name not in registry.scopes)

    def explain(self, asked: Asked) -> dict[str, Any]:
        """Return the answer, the rules that gave it or came nearest, and what the caller may do there instead."""
        who, at = asked.who, asked.resource
        near = self._explanations.nearest(who, asked.action, at)
        rules = [{"id": one.rule.id, "sentence": one.rule.sentence, "missed": [*one.missed]} for one in near]
        decision = self._decide(who, asked.action, at)
        others = self._scopes if isinstance(at, str) else self._others
        instead = [] if decision else [name for name in others if self._decide(who, name, at)]
        return {"allowed": decision.allowed, "rules": rules, "instead": instead}

    def _decide(self, who: Principal, action: str, at: str | Resource) -> Decision:
        if isinstance(at, str):
            return self._engine.decide(who, action, at)
        return self._engine.decide_on(who, action, at)
