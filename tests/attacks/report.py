"""What `make attacks` prints at its end: each attack, how it was blocked, and what it works without.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.attacks.table import GROUPS, ROWS, Row, group_of, recorded

WIDEST = 120


@dataclass(frozen=True, slots=True)
class Tried:
    """One test of an attack: on the system as it is (`way` is `refused`), or without a control."""

    way: str
    passed: bool
    answers: str = ""
    tries: str = ""
    """In how many of its tries it succeeded: "5 of 10"."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """How many tries each of what is not ours to take away stops."""

    @property
    def weakened(self) -> bool:
        """Whether a control was taken away."""
        return self.way != "refused"


def show(found: Mapping[int, Sequence[Tried]], console: Console) -> None:
    """Print all attacks by group, and at the end the sums."""
    for letter, title in GROUPS.items():
        numbers = sorted(number for number in found if group_of(number) == letter)
        if not numbers:
            continue
        console.print()
        console.print(Text(title, style="bold"))
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=3, justify="right")
        table.add_column(ratio=4)
        table.add_column(ratio=5)
        for number in numbers:
            table.add_row(str(number), Text(ROWS[number].attack), outcome(ROWS[number], found[number]))
        console.print(table)
    console.print()
    console.print(Text(sums(found)))


def outcome(row: Row, tried: Sequence[Tried]) -> Text:
    """Return what came of an attack: on the system as it is, and without what stops it."""
    text, as_it_is = Text(), [one for one in tried if not one.weakened]
    answers = ", ".join(filter(None, (one.answers for one in as_it_is)))
    if as_it_is and all(one.passed for one in as_it_is):
        text.append("blocked", "green")
        said = [answers, "" if answers and type(row.reason) is str else recorded(row)]
        text.append(f": {' '.join(filter(None, said))}")
    elif as_it_is:
        text.append("NOT BLOCKED as this row says", "bold red")
    for one in tried:
        times = f", in {one.tries} tries" if one.tries else ""
        if one.weakened and one.passed:
            text.append(f"\n{one.way.replace('succeeds', 'works')}{times}")
        elif one.weakened:
            text.append(f"\n{one.way.replace('succeeds', 'NOT BLOCKED BY THIS: fails also')}{times}", "bold red")
    beside = {name: times for one in as_it_is for name, times in one.beside.items()}
    for fixed in row.beside:
        text.append(f"\n{beside[fixed]} tries: {fixed}" if fixed in beside else f"\nstopped by {fixed}", "dim")
    return text


def sums(found: Mapping[int, Sequence[Tried]]) -> str:
    """Return the last line."""
    blocked = sum(all(one.passed for one in tried if not one.weakened) for tried in found.values())
    without = sum(any(one.weakened and one.passed for one in tried) for tried in found.values())
    failed = sum(not one.passed for tried in found.values() for one in tried)
    text = f"{len(found)} attacks: {'all' if blocked == len(found) else blocked} blocked.  "
    text += f"{without} of them were also tried without their control: then they work."
    return f"{text}  {failed} tests FAILED." if failed else text


def tried_in(stats: Mapping[str, Sequence[Any]]) -> dict[int, list[Tried]]:
    """Return what pytest has found, by row."""
    found: dict[int, list[Tried]] = {}
    for outcome_, reports in stats.items():
        for report in reports if outcome_ in ("passed", "failed", "error") else ():
            told = dict(report.user_properties)
            if "row" in told:
                more = {name: told[name] for name in ("answers", "tries", "beside") if name in told}
                one = Tried(str(told["way"]), outcome_ == "passed", **more)
                found.setdefault(told["row"], []).append(one)
    return found


def beforehand(rows: Sequence[int], tests: int, real: int) -> str:
    """Return what is said before the run."""
    text = f"{len(set(rows))} attacks, {tests} tests: each attack as the system is, then without each control."
    if real:
        text += f"\nThe last {real} start Keycloak and the whole system."
    return f"{text}\nAll of them take about ten minutes on two free cores, and longer on a busy machine."
