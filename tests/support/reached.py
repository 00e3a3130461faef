"""Two plugins of pytest: which test runs which lines of a folder; and some tests again, in an order of one's own."""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

Line = tuple[str, int]
"""A module, by its name below the folder (`audit.journal`), and the number of a line in it."""

PATIENCE = 60
"""Seconds that a test may always take, besides five times what it took when recorded: a busy machine is no hang."""


@dataclass(frozen=True)
class Passed:
    """A test that passed: how long it took, what it ran itself, and what its file ran for all (fixtures, imports)."""

    id: str
    seconds: float
    own: frozenset[Line]
    shared: frozenset[Line]

    @property
    def file(self) -> str:
        """Where it stands."""
        return self.id.partition("::")[0]


class Recorder:
    """Records all of that while the tests run.  `coverage` knows it, too; of a folder, these few lines are enough."""

    def __init__(self, folder: Path) -> None:
        self._root, self._folder = folder, f"{folder}/"
        self._tests: dict[str, tuple[float, set[Line]]] = {}
        self._shared: set[Line] = set()
        self._now = self._shared
        threading.settrace(self._frame)
        sys.settrace(self._frame)

    def _frame(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._folder) else None

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._now.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begun = time.monotonic()
        own: set[Line] = set()
        self._tests[item.nodeid] = (0, own)
        result = yield
        self._tests[item.nodeid] = (time.monotonic() - begun, own)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._now = self._tests[item.nodeid][1]
        try:
            return (yield)
        finally:
            self._now = self._shared

    def write(self, path: Path) -> None:
        """Write what was recorded, for `recorded` to read."""
        told = {name: (seconds, _short(own, self._root)) for name, (seconds, own) in self._tests.items()}
        path.write_text(json.dumps([told, _short(self._shared, self._root)]))


def recorded(path: Path) -> list[Passed]:
    """What a recorder wrote."""
    told, everybodys = json.loads(path.read_text())
    shared = frozenset(map(tuple, everybodys))
    return [Passed(name, seconds, frozenset(map(tuple, own)), shared) for name, (seconds, own) in told.items()]


def module_of(file: Path, folder: Path) -> str:
    """The dotted name of a source file below a folder."""
    return ".".join(file.relative_to(folder).with_suffix("").parts)


def _short(lines: set[Line], folder: Path) -> list[Line]:
    return sorted((module_of(Path(file), folder), number) for file, number in lines)


class Only:
    """Runs these tests (id to the seconds it took), in this order.  One that takes far longer ends the process."""

    def __init__(self, tests: Mapping[str, float]) -> None:
        self._tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        there = {item.nodeid: item for item in items}
        items[:] = [there[name] for name in self._tests if name in there]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.alarm(PATIENCE + 5 * round(self._tests[nodeid]))

    def pytest_runtest_logfinish(self) -> None:
        signal.alarm(0)  # what comes after a test is not the test's
