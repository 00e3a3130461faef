"""Signed receipts: each party says what it did for a request, and a client verifies who took part in its task.

    proven = verify(answer, authorities=bundle, accepted=accepted, policy=policy, evidence=evidence)

What a reader needs is here, and each name is imported when it is first used: parties load no verification.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotrust.receipts.accepted import Accepted as Accepted
    from zerotrust.receipts.accepted import Party as Party
    from zerotrust.receipts.failure import Unproven as Unproven
    from zerotrust.receipts.logged import Evidence as Evidence
    from zerotrust.receipts.logged import evidence_of as evidence_of
    from zerotrust.receipts.of_registry import approved as approved
    from zerotrust.receipts.verification import Proven as Proven
    from zerotrust.receipts.verification import verify as verify

_WHERE = {
    "Accepted": "accepted",
    "Party": "accepted",
    "approved": "of_registry",
    "Unproven": "failure",
    "Evidence": "logged",
    "evidence_of": "logged",
    "Proven": "verification",
    "verify": "verification",
}

__all__ = [*_WHERE]  # noqa: PLE0604 - strings, all of them


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
