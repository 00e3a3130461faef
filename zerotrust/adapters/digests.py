"""Digests of what a party says about itself: an agent's card, and a tool server's description of each tool.  Pure.

The program that writes `registry.lock`, and the callers that compare with it, use the same two functions.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

_DESCRIPTION = ("name", "description", "inputSchema", "outputSchema", "annotations")
"""The members of a tool that a model reads, and that could manipulate it; and what an agent's loop goes by."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the canonical form of this JSON (RFC 8785).  Raises `ValueError` if it has none."""
    return rfc8785.dumps(dict(value))


def card_digest(card: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of an agent's card as sent, without its signatures (A2A 1.0 section 8.4)."""
    return hashlib.sha256(canonical({key: value for key, value in card.items() if key != "signatures"})).hexdigest()


def tool_digest(tool: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of what is approved of a tool, from its entry in `tools/list` (MCP 2026-07-28)."""
    return hashlib.sha256(canonical({key: tool[key] for key in _DESCRIPTION if tool.get(key) is not None})).hexdigest()
