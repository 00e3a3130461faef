"""What the end-to-end tests call the system: the real one."""

import os
from collections.abc import Iterator

import pytest

from local.__main__ import CA
from local.system import System


@pytest.fixture(scope="session")
def system(real: System) -> System:
    """Everything, as `make demo` starts it."""
    return real


@pytest.fixture
def by_hand(system: System) -> Iterator[dict[str, str]]:
    """As somebody types after `make up`: the CA's certificate in its place, and who they are; without a password."""
    before = CA.read_bytes() if CA.exists() else None
    CA.write_bytes(system.authority.ca_file.read_bytes())
    yield {**os.environ, "ZT_USER": "olga"}
    CA.unlink() if before is None else CA.write_bytes(before)
