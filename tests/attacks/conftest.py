"""Says how long `make attacks` will be, and prints the catalogue as it was found."""

from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from tests.attacks.report import WIDEST, beforehand, show, tried_in


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str:
    """Say beforehand how long it will be."""
    if not config.getoption("--table"):
        return ""
    rows = [mark.args[0] for item in items if (mark := item.get_closest_marker("attack"))]
    return beforehand(rows, len(items), sum("real" in getattr(item, "fixturenames", ()) for item in items))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := item.get_closest_marker("attack"):
            number, way = mark.args
            item.user_properties += [("row", number), ("way", way)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--table"):
        width = min(terminalreporter._tw.fullwidth, WIDEST)
        show(tried_in(terminalreporter.stats), Console(width=width, highlight=False))
