"""The base of events, receipts and their parts: a strict shape, and canonical bytes.  Pure.

The bytes are JSON in the canonical form of RFC 8785, so that a verifier in any language gets the same digest from the
same event.  A member that does not apply is left out: nothing is null.
"""

from operator import methodcaller
from typing import Any, ClassVar

import orjson
from pydantic import ConfigDict


class Shape:
    """A dataclass that is parsed strictly: an unknown field or a value of another type is an error."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    __slots__: ClassVar[tuple[str, ...]] = ()
    """The names of all its fields, because every shape derives from this class alone."""

    def members(self) -> dict[str, Any] | orjson.Fragment:
        """Return the members that apply, or their canonical bytes."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


def canonical(content: object) -> bytes:
    """Return a shape, or members of one, in the canonical form of RFC 8785.  Raises `TypeError` if it has none.

    orjson writes that form for the contents of an event: ASCII names, integers of at most 53 bits, no fractions.
    """
    return orjson.dumps(content, _MEMBERS, _CANONICAL)


_MEMBERS = methodcaller("members")
_CANONICAL = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
