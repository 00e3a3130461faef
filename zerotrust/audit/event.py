"""The content of a record: one typed, versioned event, which is written and read back in canonical bytes only.  Pure.

These are chained, signed and put into a Merkle tree, so schema 1 never changes: a different event needs another schema.
`docs/reference/audit-events.md` explains every event and field.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from zerotrust.audit.canonical import Shape, canonical
from zerotrust.audit.event_parts import Trace
from zerotrust.audit.event_types import Data
from zerotrust.audit.forms import NAME, Id, Microseconds, Sha256
from zerotrust.decision import CODE

SCHEMA: Literal[1] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent(Shape):
    """One event of one service."""

    schema: Literal[1]
    time: Microseconds
    """When it was written."""
    service: Id
    """The party that writes it."""
    data: Annotated[Data, Field(discriminator="type")]
    """The event, of the kind that its `type` names."""
    trace: Trace | None = None
    """The request that it belongs to.  `counts`, `issued`, `alarm` and what Keycloak changed belong to
    none."""
    measurement: Sha256 | None = None
    """The digest of the code that is approved for the writer; attestation gives it an identity for this code only."""

    def canonical(self) -> bytes:
        """Return the event in the canonical form of RFC 8785.  Raises `TypeError` if it cannot have that form."""
        return canonical(self)

    @classmethod
    def parse(cls, raw: bytes) -> "AuditEvent":
        """Parse canonical bytes.  Raises `ValueError` for another schema, unknown fields and non-canonical bytes."""
        event = _reader().validate_json(raw)
        try:
            same = event.canonical() == raw
        except TypeError as error:  # such as a number with more than 53 bits
            raise ValueError(f"no canonical form: {error}") from error
        if not same:
            raise ValueError("not in canonical form")
        return event


@cache
def _reader() -> TypeAdapter[AuditEvent]:
    return TypeAdapter(AuditEvent)


_FORMS = {"attributes": NAME, "kind": NAME, "permission": NAME, "scopes": NAME, "reason": CODE}


def misnamed_field(part: Shape) -> str:
    """Return the first field of an event, or of a part of it, with a name that no party writes; empty if there is none.

    Schema 1 has no form for names.  So the audit log checks this in what it takes, and readers of older records do not.
    """
    for field in part.__slots__:
        value = getattr(part, field)
        for one in value if isinstance(value, tuple | dict) else (value,):
            if isinstance(one, Shape):
                if found := misnamed_field(one):
                    return found
            elif one is not None and field in _FORMS and not _FORMS[field].fullmatch(one):
                return field
    return ""


def is_valid(data: Data) -> bool:
    """Return whether a record may have this data: `AuditEvent.parse` accepts only the forms of schema 1."""
    try:
        AuditEvent.parse(AuditEvent(schema=1, time=0, service="spiffe://any/service", data=data).canonical())
    except (TypeError, ValueError):
        return False
    return True
