"""What a party says of itself, as digests: an agent's card, and what a tool server lists of each tool.  Pure.

Who writes `registry.lock` and who holds a card or a listing against it call the same two functions.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from a2a.types import AgentCard
from a2a.utils._jcs import canonicalize
from a2a.utils.signing import _canonicalize_agent_card

# Both are private to the SDK, whose version is pinned: another reading of RFC 8785 than that of the one who signs
# cards would be a second truth.  A test holds them against a signature made by the SDK's public functions.

_TOLD = ("name", "description", "inputSchema", "outputSchema")
"""What a model learns of a tool, and so what could talk it into something."""


def card_digest(card: AgentCard) -> str:
    """SHA-256, in hex, over the card as A2A signs it: canonical JSON (RFC 8785), without its signatures."""
    return _digest(_canonicalize_agent_card(card))


def tool_digest(tool: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over canonical JSON (RFC 8785) of a tool as `tools/list` has it (MCP 2026-07-28).

    Takes the entry as JSON; of it name, description and the two schemas count.
    Raises `ValueError` for what has no canonical form.
    """
    return _digest(canonicalize({key: tool[key] for key in _TOLD if tool.get(key) is not None}))


def _digest(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()
