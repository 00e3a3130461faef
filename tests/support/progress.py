"""Says how far a long run is: how long it will be, then group by group; on a terminal after each test.

It stands in for pytest's dots.  On a pipe each group has one line, when it has ended.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest


class Progress:
    """A plugin for one run."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        announce: Callable[[Sequence[pytest.Item]], str],
        group_of: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`announce` returns what is said beforehand; `group_of` the title for a node id."""
        self._config, self._announce, self._group_of, self._clock = config, announce, group_of, clock
        self._began, self._done, self._all, self._group = clock(), 0, 0, ""
        self._in_group, self._failed = Counter[str](), Counter[str]()
        self._left = Counter[str]()

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.get_plugin("terminalreporter")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say how long it will be."""
        self._all, self._began = len(session.items), self._clock()
        self._left.update(self._group_of(item.nodeid) for item in session.items)
        self._reporter._show_progress_info = False
        self._reporter.write_line(self._announce(session.items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count as pytest does, without its letters."""
        if report.when == "call" or not report.passed:
            return ("error" if report.failed and report.when != "call" else report.outcome), "", ""
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name what has failed, at once."""
        if report.failed:
            self._failed[self._group_of(report.nodeid)] += 1
            self._write(f"FAILED {report.nodeid}\n", red=True)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell a test that has ended, and a group of which it was the last."""
        group = self._group_of(nodeid)
        self._done += 1
        self._in_group[group] += 1
        self._left[group] -= 1
        took = self._clock() - self._began
        left = took / self._done * (self._all - self._done)
        so_far = f"{self._done} of {self._all}, {elapsed(took)}"
        so_far += f", about {elapsed(left)} left" if left else ""
        if not self._left[group]:
            failed = f", {self._failed[group]} failed" if self._failed[group] else ""
            self._write(f"{group}: {self._in_group[group]} tests{failed} ({so_far})\n")
        elif self._reporter.isatty:
            self._write(f"{group} ({so_far})")

    def _write(self, text: str, **markup: bool) -> None:
        """Write over the line that is there."""
        if not self._reporter.isatty:
            self._reporter._tw.write(text, flush=True, **markup)
            return
        line = text.rstrip("\n")
        width = self._reporter._tw.fullwidth - 1
        line = line if text.endswith("\n") or len(line) <= width else f"{line[: width - 3]}..."
        self._reporter._tw.write(f"\r\x1b[K{line}{text[len(text.rstrip()) :]}", flush=True, **markup)


def elapsed(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
