"""JSON that two parsers cannot read differently (RFC 7493 sections 2.1 to 2.3).  Pure."""

import json
import math
from collections.abc import Iterable
from typing import Any

EXACT = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly (RFC 7493 section 2.2)."""

MAX_DEPTH = 64
"""Objects and lists within each other: fewer than any reader behind this one can take."""


def strict_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, every name once, numbers and texts that others read alike.

    Raises `ValueError` for anything else, and for nesting that a parser would not survive.
    """
    try:
        found = json.loads(
            text.decode(), object_pairs_hook=_unique, parse_int=_exact, parse_float=_finite, parse_constant=_refuse
        )
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _check_depth(found)
    return found


def _check_depth(found: dict[str, Any]) -> None:
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        inside = [child for value in level for child in (value.values() if isinstance(value, dict) else value)]
        level = [child for child in inside if isinstance(child, dict | list)]
    if level:
        raise ValueError("nested too deep")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    given = list(pairs)
    if len(found := dict(given)) != len(given):
        raise ValueError("a name is given twice")
    return found


def _exact(digits: str) -> int:
    if abs(number := int(digits)) > EXACT:
        raise ValueError("a number that others would round")
    return number


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number that others would not have")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
