"""Runs the same attacks on both systems."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.before.attacks import Seen, tried
from lab.before.expected import EXPECTED, Expected
from lab.before.system import System


@dataclass(frozen=True, slots=True)
class Row:
    """One attack, and what came of it on both systems."""

    attack: Expected
    before: Seen
    after: Seen

    @property
    def wrong(self) -> list[str]:
        """Where this is not as expected."""
        found = [] if self.before.succeeded else [f"before: did not succeed: {self.before.happened}"]
        if self.after.succeeded:
            return [*found, f"after: succeeded: {self.after.happened}"]
        if self.after.happened != self.attack.answered:
            found.append(f"after: {self.after.happened}, where {self.attack.answered} is expected")
        return found


async def compared(before: System, after: System, say: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Try each attack on both; `say` receives which one comes."""
    rows = []
    for number, one in enumerate(EXPECTED, 1):
        say(f"{number} of {len(EXPECTED)}: {one.what}")
        rows.append(Row(one, await tried(before, one.run), await tried(after, one.run)))
    return rows
