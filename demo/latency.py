"""Shows how soon revocations take effect."""

from collections.abc import Mapping

from demo.parts import NO
from demo.revocation_methods import REVOCATION_METHODS
from local.program import show


def show_latency(took: Mapping[str, Mapping[str, float]]) -> float:
    """Show the seconds from each acknowledged revocation to each service's first refusal; return the longest."""
    services = list(dict.fromkeys(name for each in took.values() for name in each))
    rows = [
        (REVOCATION_METHODS[method].called, *(f"{each[s] * 1e3:.0f} ms" if s in each else NO for s in services))
        for method, each in took.items()
    ]
    show(("revoked by", *services), rows, right=True)
    return max(seconds for each in took.values() for seconds in each.values())
