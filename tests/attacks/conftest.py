"""Prints the catalogue as it was found: which attack was answered how, and which succeeded without its control."""

from collections import defaultdict
from typing import Any

import pytest
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from tests.attacks.table import ROWS, described, recorded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := item.get_closest_marker("attack"):
            number, way = mark.args
            item.user_properties += [("row", number), ("way", way)]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--table"):
        return
    found: dict[int, list[pytest.TestReport]] = defaultdict(list)
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if "row" in (told := dict(report.user_properties)):
                found[told["row"]].append(report)
    table = Table(box=HORIZONTALS, padding=(0, 1, 0, 0))
    for column in ("row", "attack", "answer", "reason", "stopped by", "and without that"):
        table.add_column(column, overflow="fold")
    for number, reports in sorted(found.items()):
        table.add_row(str(number), *_told(number, reports))
    Console(width=160).print(table)
    weakened = sum(any(map(_weakened, reports)) for reports in found.values())
    Console().print(f"{len(found)} attacks; {weakened} of them were also tried without their control.")


def _told(number: int, reports: list[pytest.TestReport]) -> list[str]:
    row = ROWS[number]
    refused = [report for report in reports if not _weakened(report)]
    weakened = [report for report in reports if _weakened(report)]
    told = [value for report in refused for name, value in report.user_properties if name == "answers"]
    by = dict.fromkeys(described(way) for way in row.stopped_by)
    return [
        row.attack,
        f"{_mark(refused)} {', '.join(map(str, told))}",
        recorded(row),
        "\n".join(by),
        f"{_mark(weakened)} succeeds" if weakened else "cannot be taken away",
    ]


def _weakened(report: pytest.TestReport) -> bool:
    return bool(dict(report.user_properties)["way"] != "refused")


def _mark(reports: list[pytest.TestReport]) -> str:
    return "[green]✓[/green]" if reports and all(report.passed for report in reports) else "[red]✗[/red]"
