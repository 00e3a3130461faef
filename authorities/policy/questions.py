"""The refusals that operators ask about, with the facts that records have of each.  Pure."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from authorities.policy.callers import caller
from zerotrust.decision import Resource
from zerotrust.identity import MAX_ACTORS, Principal

MOST_ASKED = 100
"""Decisions in one request.  A task has a few dozen."""
MOST_VERSIONS = 16
"""Versions in one request.  A task has one, or two while another is activated."""
MOST_NAMES = 100
"""Groups, and as many scopes, of the caller of a decision.  A token has a few."""
MOST_ATTRIBUTES = 16
"""Attributes of a resource.  A document has four."""

LONGEST_TEXT = 1_000
"""Characters of a name in such a decision.  They have some dozen."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Names = Annotated[tuple[Text, ...], Field(max_length=MOST_NAMES)]


VersionName = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}-[0-9a-f]{12}$")]
"""A version's name in records: its number and the first digits of its digest."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thing(_Shape):
    """A resource, with the attributes that were sent to the policies."""

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
        return caller(self.party, subject=self.subject, actors=self.actors, scopes=self.scopes, groups=self.groups)

    @property
    def resource(self) -> str | Resource:
        if isinstance(self.at, str):
            return self.at
        return Resource(self.at.kind, self.at.name, tuple(sorted(self.at.attributes.items())))
