"""Doors, and the whole system in process, as the other folders have them."""

from tests.services.conftest import stored, system, writing
from tests.unit.conftest import door, still_issuer

__all__ = ["door", "still_issuer", "stored", "system", "writing"]
