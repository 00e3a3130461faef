"""Doors, and the whole system in process, as the other folders have them."""

import pytest

from tests.services.conftest import stored, system
from tests.unit.conftest import door, still_issuer

__all__ = ["door", "still_issuer", "stored", "system"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes of the real system are killed last: Keycloak has another key afterwards, and other users."""
    items.sort(key=lambda item: "test_processes" in item.nodeid)
