"""Defines the topics of the registry's feed, and receives those whose lines are whole documents.

A line is accepted if it is the next of its topic, or is the whole topic and not older than the last.  Revocations are
sent as changes or whole; the other topics are always sent whole.  The heartbeat names the last number of every topic,
and so confirms that nothing is missing and that everything is fresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import orjson
from pydantic import ValidationError

from zerotrust.registry.snapshot import Document
from zerotrust.revocation import Gap
from zerotrust.spiffe.statement import InvalidStatement

AnyDocument = TypeVar("AnyDocument", bound=Document)


@dataclass(frozen=True, slots=True)
class LineKind:
    """A kind of line."""

    name: str
    """The topic, as the heartbeat names it."""
    type: str
    """The `typ` in the header of its lines (RFC 8725 section 3.11), so that no line passes as another kind."""


REGISTRY = LineKind("registry", "registry+jwt")
POLICY = LineKind("policy", "policy+jwt")
"""The one topic that may be missing: before the policy authority's first bundle, and once the life of one has ended."""
REVOCATIONS = LineKind("revocations", "secevent+jwt")
HEARTBEAT = LineKind("heartbeat", "heartbeat+jwt")
KINDS = {kind.type: kind for kind in (REGISTRY, POLICY, REVOCATIONS, HEARTBEAT)}
"""The kinds, by `typ`.  All but the heartbeat are topics."""


class Topic(Protocol):
    """The lines that were received of one topic."""

    @property
    def number(self) -> int | None:
        """The number of the last line; None before the first."""

    def take(self, claims: Mapping[str, Any]) -> None:
        """Apply the next verified line.

        Raises `Gap` if it does not follow what was received, and `InvalidStatement` if it is malformed.
        """


class LatestDocument(Generic[AnyDocument]):
    """A topic whose every line is the whole document."""

    def __init__(self, model: type[AnyDocument]) -> None:
        self._model = model
        self.number: int | None = None
        self.document: AnyDocument | None = None

    def take(self, claims: Mapping[str, Any]) -> None:
        """Apply a version; see `Topic`.  The same version again is allowed: a feed that is opened again sends it."""
        try:
            number, document = int(claims["number"]), self._model.model_validate_json(orjson.dumps(claims["document"]))
        except ValidationError as error:
            raise InvalidStatement(f"{self._model.__name__}: {error.errors()[0]['msg']}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidStatement(f"malformed {self._model.__name__}: {error}") from error
        # control: topic-not-older
        if self.number is not None and number <= self.number and (number, document) != (self.number, self.document):
            raise Gap(f"{self._model.__name__} {number} is not newer than {self.number}")
        self.number, self.document = number, document
