"""JSON that two parsers cannot read differently (RFC 8725 section 3.7).  Pure."""

import json
from collections.abc import Iterable
from typing import Any

EXACT = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly (RFC 7493 section 2.2)."""


def strict_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, every name once, numbers and texts that others read alike.

    Raises `ValueError` for anything else, and for nesting that a parser would not survive.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_int=_exact, parse_constant=_refuse)
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    given = list(pairs)
    if len(found := dict(given)) != len(given):
        raise ValueError("a name is given twice")
    return found


def _exact(digits: str) -> int:
    if abs(number := int(digits)) > EXACT:
        raise ValueError("a number that others would round")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
