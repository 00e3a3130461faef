"""The stack of `docker-compose.yml` by the plugin that others use as well, `testkit.pytest_plugin`."""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from testkit.stack import NoDockerError, Stack
from tests.support.compose import Tried
from tests.support.system import ROOT


@pytest.fixture(scope="session", autouse=True)
def nothing_left(pytestconfig: pytest.Config) -> None:
    """The containers have a project of their own, so nobody's volumes are touched; an interrupted run's are removed.

    The plugin itself removes nothing that it has not started.
    """
    if pytestconfig.getoption("--zt-keep"):
        return
    os.environ["COMPOSE_PROJECT_NAME"] = "zero-trust-agents-tests"
    with contextlib.suppress(NoDockerError):  # the plugin says so
        left = Stack(ROOT)
        left.stop()
        left.docker.close()


@pytest.fixture(scope="session")
def stack(zt_stack: Stack) -> Stack:
    """All containers, healthy."""
    return zt_stack


@pytest.fixture(scope="session")
def intruders(stack: Stack) -> Stack:
    """The same containers, and intruders in three more, for the tests that come last: attestation is another one."""
    more = Stack(ROOT, ["docker-compose.yml", "start/compose.intruders.yaml"])
    more.start()
    return more


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    """Keeps for `--table` what was tried, and what it was answered."""
    return lambda what, answer: record_property("tried", (what, answer))


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str:
    """Say beforehand how long `make attacks-compose` will be."""
    said = f"{len(items)} tests; the first one starts all containers, which takes a minute or more."
    return said if config.getoption("--table") else ""


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was tried, as it was answered."""
    if not config.getoption("--table"):
        return
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0))
    for column in ("attack", "blocked: the reason in attestation's log"):
        table.add_column(column, overflow="fold")
    longer = []
    for report in terminalreporter.stats.get("passed", []):
        for what, answer in [value for name, value in report.user_properties if name == "tried"]:
            (longer.append(answer) if "\n" in answer else table.add_row(what, answer))
    for part in [*longer, table]:
        Console(width=terminalreporter._tw.fullwidth).print(part, markup=False)
