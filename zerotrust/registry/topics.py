"""The topics of the registry's feed, and the rule for those whose lines are whole documents.

A line counts where it is the very next of its topic, or the whole of it: then nothing that is older than what has come.
`Revocations` has changes and wholes, the other topics have wholes alone.  That nothing is missing at the end, and that
all of it is fresh, the heartbeat says: it names the last number of every topic.
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
    """One kind of line."""

    name: str
    """The topic, as the heartbeat names it."""
    type: str
    """The `typ` in the header of its lines (RFC 8725 section 3.11): none can be taken for another kind's."""


REGISTRY = LineKind("registry", "registry+jwt")
POLICY = LineKind("policy", "policy+jwt")
REVOCATIONS = LineKind("revocations", "secevent+jwt")
HEARTBEAT = LineKind("heartbeat", "heartbeat+jwt")
KINDS = {kind.type: kind for kind in (REGISTRY, POLICY, REVOCATIONS, HEARTBEAT)}
"""By their `typ`.  All of them are topics but the heartbeat."""


class Topic(Protocol):
    """What has come of one topic."""

    @property
    def number(self) -> int | None:
        """The number of the last line; None before the first."""

    def take(self, claims: Mapping[str, Any]) -> None:
        """Take the next line, which is verified.

        Raises `Gap` where it does not follow on what has come, and `InvalidStatement` where it says nothing.
        """


class LatestDocument(Generic[AnyDocument]):
    """A topic whose every line is the whole document."""

    def __init__(self, model: type[AnyDocument]) -> None:
        self._model = model
        self.number: int | None = None
        self.document: AnyDocument | None = None

    def take(self, claims: Mapping[str, Any]) -> None:
        """Take a version; see `Topic`.  The same once more is none: a feed that begins anew sends it again."""
        try:
            number, document = int(claims["number"]), self._model.model_validate_json(orjson.dumps(claims["document"]))
        except ValidationError as error:
            raise InvalidStatement(f"{self._model.__name__}: {error.errors()[0]['msg']}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidStatement(f"no {self._model.__name__}: {error}") from error
        # control: topic-not-older
        if self.number is not None and number <= self.number and (number, document) != (self.number, self.document):
            raise Gap(f"{self._model.__name__} {number} is older than {self.number}, or another one")
        self.number, self.document = number, document
