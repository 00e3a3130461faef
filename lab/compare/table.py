"""The comparison as a table on the terminal, by principle."""

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from demo.parts import begin, paragraph
from lab.compare.comparison import Cost, Row
from local.program import console

NOT_ALIKE = (
    "These are medians of this run, beside whatever else the machine does. The system before has most of its parts in "
    "one process; `make bench` compares like with like."
)
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


def show_cost(before: Cost, after: Cost) -> None:
    """Say what the same honest task costs on both."""
    begin("What it costs")
    for said in cost_sentences(before, after):
        paragraph(said)


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


def cost_sentences(before: Cost, after: Cost) -> tuple[str, str]:
    """Return what the measured seconds mean."""
    then, now = (milliseconds(cost.later) for cost in (before, after))
    first_then, first_now = (milliseconds(cost.first) for cost in (before, after))
    measured = (
        f"alice's task took {then} ms before and {now} ms after. The first of a session took {first_then} ms and "
        f"{first_now} ms: after, each hop exchanges its token in it."
    )
    return measured, NOT_ALIKE


def sentence(principle: str) -> str:
    """Return a principle as a title."""
    return principle[0].upper() + principle[1:]


def milliseconds(seconds: float) -> str:
    """Return a time as it is shown."""
    return f"{seconds * 1e3:.0f}"
