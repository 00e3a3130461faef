"""The outcome of a suite, compared with the failures that are expected."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """One suite's checks, by name."""

    suite: str
    version: str
    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """The failed checks, with the actual results."""
    skipped: int = 0
    why_skipped: str = ""
    """The reason for all skipped checks."""

    def expect(self, results: Mapping[str, str], wanted: Mapping[str, str]) -> "Outcome":
        """Compare the results of a client with a regular expression for each check."""
        for name, pattern in wanted.items():
            came = results.get(name, "nothing")
            if re.search(pattern, came, re.DOTALL):
                self.passed.add(name)
            else:
                self.failed[name] = came[:300]
        return self

    def unexpected(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Return the unexpected failures, and the expected failures that passed."""
        found = {name: came for name, came in self.failed.items() if name not in expected}
        return found | {name: f"passes, but is listed: {expected[name]}" for name in self.passed if name in expected}
