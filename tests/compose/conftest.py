"""The stack of `docker-compose.yml` by the plugin that others use as well, `zerotrust.testing.pytest_plugin`."""

import contextlib

import pytest

from tests.support.system import ROOT
from zerotrust.testing.stack import NoDockerError, Stack


@pytest.fixture(scope="session")
def nothing_left(pytestconfig: pytest.Config) -> None:
    """What an interrupted run has left is removed: the plugin itself removes nothing that it has not started."""
    if pytestconfig.getoption("--zt-keep"):
        return
    with contextlib.suppress(NoDockerError):  # the plugin says so
        left = Stack(ROOT)
        left.stop()
        left.docker.close()


@pytest.fixture(scope="session")
def stack(nothing_left: None, zt_stack: Stack) -> Stack:
    """All containers, healthy."""
    return zt_stack
