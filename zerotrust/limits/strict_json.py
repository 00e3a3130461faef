"""Parses JSON that no two parsers read differently (RFC 7493 sections 2.1 to 2.3), at a bounded cost.  Pure."""

import json
import math
import re
from typing import Any

from zerotrust.errors import ZeroTrustError

EXACT = 2**53 - 1
"""The largest integer that every JSON parser reads exactly (RFC 7493 section 2.2)."""

MAX_DEPTH = 64
"""Nested objects and lists: fewer than every parser behind this one can handle."""


MAX_ELEMENTS = 10_000
"""Commas, colons and opening brackets outside strings.  Each costs a parser about a microsecond, whatever the length of
its value.  Bodies here have a few dozen; a long conversation with a model has some thousands."""


class NotAnObject(ZeroTrustError, ValueError):
    """The text is JSON, but no object."""


_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


def strict_object(text: bytes, *, most: int | None = MAX_ELEMENTS) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, unique names, and only numbers and strings that all parsers read alike.

    `most`: the elements it may have; None only for a text whose signer is trusted.  Raises `ValueError` for any other
    text, and before it parses a text that is nested too deep or has too many elements.
    """
    check_size(text, most)  # control: json-size
    found = _DECODER.decode(text.decode())
    if _HALF_A_PAIR.search(text):
        json.dumps(found, ensure_ascii=False).encode()  # fails for a lone surrogate, which is not a character
    if not isinstance(found, dict):
        raise NotAnObject("not an object")
    return found


def check_size(text: bytes, most: int | None) -> None:
    """Raise `ValueError` if a text is nested too deep or has too many elements, without parsing it.

    The count is exact up to the first syntax error, where a parser stops.  UTF-16 and UTF-32, which some parsers guess,
    are refused: their JSON has NUL bytes.
    """
    if b"\0" in text:
        raise ValueError("not UTF-8")
    opened, closed = text.count(b"{") + text.count(b"["), text.count(b"}") + text.count(b"]")
    if closed <= opened <= MAX_DEPTH and (most is None or opened + text.count(b",") + text.count(b":") <= most):
        return  # most texts end here: even if all were outside strings, they would not be too many
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")  # each quote that is left begins or ends a string
    if most is not None and unescaped.count(b'"') > 2 * most:  # each string is an element, or the name of one
        raise ValueError("too many elements")
    outside = b"".join(unescaped.split(b'"')[::2])
    if most is not None and sum(map(outside.count, (b"{", b"[", b",", b":"))) > most:
        raise ValueError("too many elements")
    depth = 0
    for bracket in outside.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        if not 0 <= depth <= MAX_DEPTH:  # below 0, too, so that the loop ends early at many closing brackets
            raise ValueError("nested too deep")


_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def _unique(given: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(given)) != len(given):  # control: json-names-unique
        raise ValueError("a name occurs twice")
    return found


def _exact(digits: str) -> int:
    if abs(number := int(digits)) > EXACT:
        raise ValueError("an integer that other parsers would round")
    return number


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number that is not finite")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_exact, parse_float=_finite, parse_constant=_refuse)
