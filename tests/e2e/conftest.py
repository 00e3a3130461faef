"""What the end-to-end tests call the system: the real one."""

import pytest

from demo.system import System


@pytest.fixture(scope="session")
def system(real: System) -> System:
    """Everything, as `make demo` starts it."""
    return real
