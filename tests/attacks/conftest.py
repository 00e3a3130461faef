"""Shows how far `make attacks` is, and prints the catalogue as it was found."""

from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from tests.attacks.report import WIDEST, beforehand, show, tried_in
from tests.attacks.table import GROUPS
from tests.support.progress import Progress


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--table") and not config.pluginmanager.has_plugin("progress"):
        config.pluginmanager.register(Progress(config, announce=_announce, group_of=_group), "progress")


def _announce(items: Sequence[pytest.Item]) -> str:
    rows = [mark.args[0] for item in items if (mark := item.get_closest_marker("attack"))]
    return beforehand(rows, len(items), sum("real" in getattr(item, "fixturenames", ()) for item in items))


def _group(nodeid: str) -> str:
    """Return the title of the group that a test file is of."""
    name = nodeid.partition("::")[0].rpartition("/")[2].removeprefix("test_")
    return GROUPS[name[0]] if name[1:2] == "_" else "The catalogue itself"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := item.get_closest_marker("attack"):
            number, way = mark.args
            item.user_properties += [("row", number), ("way", way)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--table"):
        width = min(terminalreporter._tw.fullwidth, WIDEST)
        show(tried_in(terminalreporter.stats), Console(width=width, highlight=False))
