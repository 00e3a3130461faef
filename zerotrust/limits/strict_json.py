"""JSON that two parsers cannot read differently (RFC 7493 sections 2.1 to 2.3), at a cost that has a bound.  Pure."""

import json
import math
import re
from typing import Any

EXACT = 2**53 - 1
"""The largest whole number that every reader of JSON reads exactly (RFC 7493 section 2.2)."""

MAX_DEPTH = 64
"""Objects and lists within each other: fewer than any reader behind this one can take."""


MAX_ELEMENTS = 10_000
"""Commas, colons and opening brackets outside strings: what a parser makes an object of costs it about a microsecond,
whatever its length.  Bodies here have a few dozen; a long conversation with a model has some thousands."""

_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


def strict_object(text: bytes, *, most: int | None = MAX_ELEMENTS) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, every name once, numbers and texts that others read alike.

    `most`: elements that it may have; None only for a text whose signer is trusted.  Raises `ValueError` for anything
    else, and, before any of it is parsed, for one that is nested too deep or has too many elements.
    """
    _check_size(text, most)
    try:
        found = json.loads(
            text.decode(), object_pairs_hook=_unique, parse_int=_exact, parse_float=_finite, parse_constant=_refuse
        )
        if _HALF_A_PAIR.search(text):
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _check_size(text: bytes, most: int | None) -> None:
    """Measure a text without parsing it.

    Exact for the part that a parser would read: from the first mistake in the text on, it may be off.
    """
    brackets = text.count(b"{") + text.count(b"[")
    elements = brackets + text.count(b",") + text.count(b":")
    if brackets <= MAX_DEPTH and (most is None or elements <= most):  # wherever they are
        return
    sanitize = text.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of quotes begins or ends a string
    if most is not None and sanitize.count(b'"') > 2 * most:  # each string is an element, or the name of one
        raise ValueError("too many elements")
    outside = b"".join(sanitize.split(b'"')[::2])
    if most is not None and sum(map(outside.count, (b"{", b"[", b",", b":"))) > most:
        raise ValueError("too many elements")
    depth = 0
    for bracket in outside.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")


_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def _unique(given: list[tuple[str, Any]]) -> dict[str, Any]:
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
