"""The catalogue: each attack, the reason that goes on record, and the control that stops it, as `catalogue.md` has it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong one.  Its id is in a comment at that piece (`lab/without.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from authorities.audit.reasons import AuditReason
from authorities.policy.reasons import PolicyReason
from authorities.registry.reasons import RegistryReason
from inference.chat import ModelReason
from lab import realm
from lab.realm import RealmControl
from lab.weak import BelievesHeaders, Forwarding, GateAsDependency
from lab.without import Control, delete, where
from tests.attacks.instead import HOOKS
from zerotrust.checks import STEPS
from zerotrust.decision import Reason, ReasonCode
from zerotrust.service import Service

Missing = Control | RealmControl | type[Service]
"""One control that is taken away: a piece of source, of the realm, or a service composed without it."""


@dataclass(frozen=True, slots=True)
class Row:
    attack: str
    reason: ReasonCode | str | None
    """None where there is nothing to refuse, a text where it is not one of our services that refuses."""
    ways: tuple[tuple[Missing, ...], ...]
    """What is taken away, each time."""
    beside: tuple[str, ...]
    """What else stops a variant."""

    @property
    def removable(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from our own code."""
        return [way for way in self.ways if not isinstance(way[0], RealmControl)]

    @property
    def removable_at_the_realm(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from the realm."""
        return [way for way in self.ways if isinstance(way[0], RealmControl)]

    @property
    def names(self) -> set[str]:
        """What its controls, and what else stops it, are called."""
        return {described(one) for way in self.ways for one in (*way, way)} | {*self.beside}


def described(way: Missing | tuple[Missing, ...]) -> str:
    """How a control is told to a reader: its name, or what it is."""
    if isinstance(way, tuple):
        return " and ".join(map(described, way))
    return str(way) if isinstance(way, Control | RealmControl) else getattr(way, "instead_of", way.__name__)


def located(way: tuple[Missing, ...]) -> str:
    """The same, with the file and the function of what has an id."""
    told = (
        f"`{one.id}` ({', '.join(filter(None, (where(one), one.how)))})" if isinstance(one, Control) else described(one)
        for one in way
    )
    return " and ".join(told)


_KNOWN = chain(Reason, RegistryReason, AuditReason, PolicyReason, ModelReason, *(step.reasons for step in STEPS))
_REASONS = {str(reason): reason for reason in _KNOWN}
_NAMED: list[Missing] = [one for one in vars(realm).values() if isinstance(one, RealmControl)]
_NAMED += [BelievesHeaders, Forwarding, GateAsDependency]
_BY_NAME = {described(one): one for one in _NAMED}


def _way(told: str) -> tuple[Missing, ...]:
    return (_BY_NAME[told],) if told in _BY_NAME else tuple(map(_control, told.split(" and ")))


def _control(name: str) -> Missing:
    """Return the control of that name.  Raises `KeyError` for brackets that `HOOKS` does not have."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    id_, _, how = name.removesuffix(")").partition(" (")
    return Control(id_, HOOKS[name] if how else HOOKS.get(name, delete), how)


def _reason(told: str) -> ReasonCode | str | None:
    if told == "-":
        return None
    return told.strip('"') if told.startswith('"') else _REASONS[told]


def _read() -> Iterator[tuple[str, int | str, Row | None]]:
    """Yield the letter, the title and None for each group; the letter, the number and the row for each row."""
    letter = ""
    for line in (Path(__file__).parent / "catalogue.md").read_text().splitlines():
        if heading := re.fullmatch(r"## ([A-Z])\. (.+)", line):
            letter = heading[1].lower()
            yield letter, heading[2], None
        elif re.match(r"\| \d", line):
            number, attack, reason, *texts = (cell.strip() for cell in line.strip("|").split("|"))
            stopped_by, beside = ([text for text in column.split("; ") if text] for column in texts)
            ways = tuple(map(_way, stopped_by))
            yield letter, int(number), Row(attack, _reason(reason), ways, tuple(beside))


GROUPS = {letter: str(title) for letter, title, row in _read() if row is None}
"""Titles, by the letter in the name of the file that tries a row (`test_a_credentials.py`)."""
ROWS = {int(number): row for _, number, row in _read() if row is not None}
_GROUP_OF = {int(number): letter for letter, number, row in _read() if row is not None}


def group_of(number: int) -> str:
    """Return the letter of the group that a row is of."""
    return _GROUP_OF[number]


_INTRODUCTION = """\
`start/run tests.reference` writes this page. `make attacks` tries every row, and tries it again without the
control that stops it, to show that the attack then succeeds. If controls are joined by "and", each of them stops the
attack, so they are taken away together. If controls are separated by semicolons, each of them alone stops the attack or
a variant of it. A control of our own code has the id that a comment gives it there (`# control: azp-is-peer`). Without
a control, at least one in two of the tries that it is about succeeds; `make attacks` prints how many. Where a row says
that the test adds something, our code stops the attack by what it does not do, so nothing could be deleted. What is not
taken away in a row is named in words; if these begin with the number of a row, that row takes it away."""


def recorded(row: Row) -> str:
    """What a row leaves on record, for a reader."""
    if row.reason is Reason.GRANTED:
        return "granted, and nothing gained"
    return row.reason or "nothing to refuse"


def markdown() -> str:
    """The catalogue as it stands in `docs/reference/attacks.md`."""
    kept = sum(not row.removable and not row.removable_at_the_realm for row in ROWS.values())
    many = f"There are {len(ROWS)} attacks. {kept} of them have no control that the test can take away."
    lines = ["# The catalogue of attacks", "", _INTRODUCTION, "", many, "", *_rows()]
    return "\n".join(lines) + "\n"


def _rows() -> list[str]:
    lines = []
    for letter, title in GROUPS.items():
        lines += [f"## {title}", "", "| row | attack | outcome | stopped by |", "|---|---|---|---|"]
        for number in sorted(number for number in ROWS if group_of(number) == letter):
            row = ROWS[number]
            by = [*dict.fromkeys(map(located, row.ways)), *row.beside]
            lines.append(f"| {number} | {row.attack} | {recorded(row)} | {'; '.join(by)} |")
        lines.append("")
    return lines[:-1]
