"""What a party says of itself, as digests: an agent's card, and what a tool server lists of each tool.  Pure.

Who writes `registry.lock` and who holds a card or a listing against it call the same two functions.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

_TOLD = ("name", "description", "inputSchema", "outputSchema")
"""What a model learns of a tool, and so what could talk it into something."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one form of this JSON (RFC 8785).  Raises `ValueError` for what has none."""
    return rfc8785.dumps(dict(value))


def card_digest(card: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over an agent's card as it is sent, without its signatures (A2A 1.0 section 8.4)."""
    return hashlib.sha256(canonical({key: value for key, value in card.items() if key != "signatures"})).hexdigest()


def tool_digest(tool: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over what a model is told of a tool, from its entry in `tools/list` (MCP 2026-07-28)."""
    return hashlib.sha256(canonical({key: tool[key] for key in _TOLD if tool.get(key) is not None})).hexdigest()
