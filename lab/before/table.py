"""The comparison as a table on the terminal, by principle."""

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from demo.parts import begin, paragraph
from lab.before.comparison import Row
from local.program import console

VERDICTS = {True: ("succeeded", "red"), False: ("refused", "green")}


def show_rows(rows: Sequence[Row]) -> None:
    """Print all rows; below each attack, the check that refuses it on the real system."""
    for principle, those in groupby(rows, lambda row: row.attack.principle):
        begin(sentence(principle))
        for row in those:
            paragraph(Text(row.attack.what, "bold"), hanging=2)
            table = Table.grid(padding=(0, 1, 0, 0), expand=True)
            for width in (9, 9, None, 7):
                table.add_column(width=width, ratio=None if width else 1, justify="right" if width == 7 else "left")
            for when, seen in ("before", row.before), ("after", row.after):
                took = f"{milliseconds(seen.seconds)} ms"
                table.add_row(f"  {when}:", Text(*VERDICTS[seen.succeeded]), Text(seen.happened), took)
            table.add_row("", "", Text(row.attack.check, "cyan"), "")
            console.print(table)


def show_end(rows: Sequence[Row]) -> None:
    """Say how many attacks succeeded where, and where an answer is not as expected."""
    begin("The end")
    paragraph(summary(rows))
    for row in rows:
        for wrong in row.wrong:
            paragraph(Text(f"not as expected: {row.attack.what}: {wrong}", "red"), hanging=2)


def summary(rows: Sequence[Row]) -> str:
    """Return the sentence that counts."""
    before, after = sum(row.before.succeeded for row in rows), sum(row.after.succeeded for row in rows)
    return f"Of {len(rows)} attacks, {before} succeeded before, and {after} after."


def sentence(principle: str) -> str:
    """Return a principle as a title."""
    return principle[0].upper() + principle[1:]


def milliseconds(seconds: float) -> str:
    """Return a time as it is shown."""
    return f"{seconds * 1e3:.0f}"
