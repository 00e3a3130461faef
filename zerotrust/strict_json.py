"""JSON that two parsers cannot read differently (RFC 8725 section 3.7).  Pure."""

import json
from collections.abc import Iterable
from typing import Any


def strict_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, every name once, numbers that JSON knows, nesting that a parser survives.

    Raises `ValueError` for anything else.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
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


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
