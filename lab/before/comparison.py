"""Runs the same attacks on both systems, and shows the outcomes by principle; then attacks the system of figure 3."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.table import Table
from rich.text import Text

from console.comparison import FILE
from demo.intruder import INSIDERS
from demo.parts import begin
from lab.before.attacks import Outcome, try_attack
from lab.before.expected import EXPECTED, Expected
from lab.before.llama_stack.attacks import ATTACKS, run_attacks
from lab.before.llama_stack.attacks import INTRODUCTION as FIGURE_3
from lab.before.one_token.realm import realm
from lab.before.one_token.running import one_token
from lab.before.real import real
from lab.before.system import System
from start.earlier_runs import data_folder
from start.everything import running
from start.llama_stack.server import OGX
from start.program import FOLDER, console, paragraph, progress_line, say

NO_OGX = (
    "Figure 3's system, which passes tokens on to a real Llama Stack server, needs an environment of its own: Python "
    "3.12 or newer, and 160 MB. `make .ogx/ready` makes it."
)
VERDICTS = {True: ("succeeded", "red"), False: ("refused", "green")}


@dataclass(frozen=True, slots=True)
class Row:
    """One attack, and what came of it on both systems."""

    attack: Expected
    before: Outcome
    after: Outcome

    @property
    def wrong(self) -> list[str]:
        """Where this is not as expected."""
        found = [] if self.before.succeeded else [f"before: did not succeed: {self.before.happened}"]
        if self.after.succeeded:
            return [*found, f"after: succeeded: {self.after.happened}"]
        if self.after.happened != self.attack.answered:
            found.append(f"after: {self.after.happened}, where {self.attack.answered} is expected")
        return found


async def compare() -> int:
    """Start both systems, attack both, then figure 3's.  Return the exit status: 1 if an answer is not as expected."""
    async with running(FOLDER / "before", say=say, insiders=INSIDERS) as system, real(system) as after:
        async with realm(system.keycloak) as users, one_token(users, system.folder / "one-token") as before:
            with progress_line("Both systems are attacked"):
                say("The attacks begin, each on both systems")
                rows = await compare_attacks(before, after)
        show_rows(rows)
        show_end(rows)
        begin("Figure 3")
        if OGX.exists():
            paragraph(FIGURE_3)
            console.print()
            of_figure_3 = await run_attacks(system)
        else:
            of_figure_3 = {}
            paragraph(NO_OGX)
    store(rows, of_figure_3, data_folder(FOLDER, "console"))
    return 1 if any(row.wrong for row in rows) else 0


def store(rows: Sequence[Row], of_figure_3: Mapping[str, Outcome], folder: Path) -> None:
    """Write what was seen to the folder of the console, which shows it."""
    there = {ATTACKS[what][1]: asdict(one) for what, one in of_figure_3.items()}
    told = [
        {"what": row.attack.what, "check": row.attack.check}
        | {"figure_1": asdict(row.before), "figure_3": there.get(row.attack.run), "here": asdict(row.after)}
        for row in rows
    ]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), "attacks": told}))


async def compare_attacks(before: System, after: System) -> list[Row]:
    """Try each attack on both; print which attack comes."""
    rows = []
    for number, one in enumerate(EXPECTED, 1):
        say(f"{number} of {len(EXPECTED)}: {one.what}")
        rows.append(Row(one, await try_attack(before, one.run), await try_attack(after, one.run)))
    return rows


def show_rows(rows: Sequence[Row]) -> None:
    """Print all rows; below each attack, the check that refuses it on the real system."""
    for principle, those in groupby(rows, lambda row: row.attack.principle):
        begin(principle[0].upper() + principle[1:])
        for row in those:
            paragraph(Text(row.attack.what, "bold"), hanging=2)
            table = Table.grid(padding=(0, 1, 0, 0), expand=True)
            for width in (9, 9, None, 7):
                table.add_column(width=width, ratio=None if width else 1, justify="right" if width == 7 else "left")
            for when, seen in ("before", row.before), ("after", row.after):
                took = f"{seen.seconds * 1e3:.0f} ms"
                table.add_row(f"  {when}:", Text(*VERDICTS[seen.succeeded]), Text(seen.happened), took)
            table.add_row("", "", Text(row.attack.check, "cyan"), "")
            console.print(table)


def show_end(rows: Sequence[Row]) -> None:
    """Print how many attacks succeeded where, and where an answer is not as expected."""
    begin("The end")
    before, after = sum(row.before.succeeded for row in rows), sum(row.after.succeeded for row in rows)
    paragraph(f"Of {len(rows)} attacks, {before} succeeded before, and {after} after.")
    for row in rows:
        for wrong in row.wrong:
            paragraph(Text(f"not as expected: {row.attack.what}: {wrong}", "red"), hanging=2)
