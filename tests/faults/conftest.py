"""Doors, and the whole system in process, as the other folders have them."""

from tests.support.fixtures import door, still_issuer, stored, system, writing

__all__ = ["door", "still_issuer", "stored", "system", "writing"]
