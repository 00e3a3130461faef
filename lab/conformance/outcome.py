"""What came of a suite, held to the table of what is expected to fail and why."""

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
    """With what came instead."""
    skipped: int = 0
    why_skipped: str = ""
    """Of the checks that were: the same for all of them."""

    def expect(self, told: Mapping[str, str], wanted: Mapping[str, str]) -> "Outcome":
        """Judge what a client told: each check that is wanted matches a regular expression."""
        for name, pattern in wanted.items():
            came = told.get(name, "nothing")
            if re.search(pattern, came, re.DOTALL):
                self.passed.add(name)
            else:
                self.failed[name] = came[:300]
        return self

    def unexpected(self, expected: Mapping[str, str]) -> dict[str, str]:
        """What failed and was not to, and what was to fail and passed."""
        found = {name: came for name, came in self.failed.items() if name not in expected}
        return found | {name: f"passes, and is listed: {expected[name]}" for name in self.passed if name in expected}
