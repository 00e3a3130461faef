"""The decision table, `decisions.md`: who may do what, as people have written it down.  Pure.

A row is one question to the policies and its answer.  Policies that answer otherwise are not published (`fit.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from authorities.policy.callers import caller
from zerotrust.decision import Decision, Resource
from zerotrust.errors import ZeroTrustError
from zerotrust.identity import MAX_ACTORS, Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import Registry

T = TypeVar("T")
FILE = "decisions.md"
"""The table's file, in the folder of the policies."""
MAX_TABLE = 256 * 1024
"""Bytes: about 2,000 rows."""
MOST_ROWS = 2_000
"""Questions.  Each is asked before every publication, which takes 50 µs."""
LONGEST_CELL = 300
"""Characters of a cell, but for the reason in words.  A token names a few groups and scopes, of some dozen each."""

SAID = {True: "yes", False: "no"}
PEOPLE = "user", "groups"
DOCUMENTS = "document", "department", "state", "owner", "classification"
APIS = "user", "agent", "scopes", "asks for", "at", "answer", "by", "because"
TASKS = "task", "owner"
ACCESS, OF_TASKS, OF_PARTIES = (
    ("user", "agent", "scopes", "does", resource, "answer", "by", "because")
    for resource in ("document", "task", "party")
)
_SIGNS = "_ .,:;/'>*@+-"
_PLAIN = re.compile(rf"[\w{_SIGNS}]*", re.ASCII)
"""The text of a cell, except the reason in words: no sign that a page shows as something else."""
_SEPARATES = re.compile(r"\|( *:?-+:? *\|)+")


class TableError(ZeroTrustError):
    """The table cannot be read.  The text has a line for each row that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Row:
    """A question, and the answer that it has to get."""

    line: int
    who: Principal
    action: str
    """The scope that is asked for, or the action on the document, task or party."""
    at: str | Resource
    """The identifier of the party that is called, or the document, task or party that the action is on."""
    allowed: bool
    by: str
    """The id of the rule that says yes, or the reason of a no."""
    because: str = ""
    """The reason in words, where it is not obvious."""

    def ask(self, engine: CedarPolicy) -> Decision:
        if isinstance(self.at, Resource):
            return engine.decide_on(self.who, self.action, self.at)
        return engine.decide(self.who, self.action, self.at)

    def words(self, registry: Registry) -> tuple[str, str, str, str, str]:
        """Return the question as the table has it: user, agent, scopes, action, and party or document."""
        names = {registry.id(name): name for name in registry.parties}
        chain = [names.get(actor, actor) for actor in reversed(self.who.actors)]
        through = " > ".join(chain) or names.get(self.who.party, self.who.party)
        at = self.at.name if isinstance(self.at, Resource) else self.at
        return self.who.subject, through, " ".join(sorted(self.who.scopes)), self.action, names.get(at, at)

    def differs(self, decision: Decision) -> str:
        """Return how a decision differs from the row, or nothing."""
        found = ", ".join(decision.rules) if decision.allowed else str(decision.reason)
        if (decision.allowed, found) == (self.allowed, self.by):
            return ""
        return f"{SAID[self.allowed]} by {self.by!r} expected, {SAID[decision.allowed]} by {found!r} decided"


@dataclass(slots=True)
class _Reader:
    registry: Registry
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    documents: dict[str, Resource] = field(default_factory=dict)
    tasks: dict[str, Resource] = field(default_factory=dict)

    def row(self, line: int, header: tuple[str, ...], cells: list[str]) -> Row | None:
        """Return a question; note a person, a document or a task, and return None."""
        if len(cells) != len(header):
            expected = " | ".join(header) or "first a heading, such as: " + " | ".join(PEOPLE)
            raise ValueError(f"{len(cells)} cells, expected {expected}")
        fields = dict(zip(header, cells, strict=True))
        for name, cell in fields.items():
            if name != "because" and len(cell) > LONGEST_CELL:
                raise ValueError(f"{name} has {len(cell)} characters, and may have {LONGEST_CELL}")
            if name != "because" and not _PLAIN.fullmatch(cell):  # control: table-cells-plain
                raise ValueError(f"{name} is {cell!r}: it may have letters and digits of ASCII, spaces and {_SIGNS}")
        if header == PEOPLE:
            _add("user", fields["user"], frozenset(fields["groups"].split()), self.groups)
            return None
        if header == DOCUMENTS:
            attributes = tuple((name, fields[name]) for name in DOCUMENTS[1:])
            _add("document", fields["document"], Resource("Document", fields["document"], attributes), self.documents)
            return None
        if header == TASKS:
            task = Resource("Task", fields["task"], (("owner", fields["owner"]),))
            _add("task", fields["task"], task, self.tasks)
            return None
        if (answer := fields["answer"]) not in SAID.values():
            raise ValueError(f"the answer is {answer!r}, expected yes or no")
        if header == APIS:
            action: str = fields["asks for"]
            at: str | Resource = self._id(fields["at"])
        elif header == OF_TASKS:
            action, at = fields["does"], _look_up("task", fields["task"], self.tasks)
        elif header == OF_PARTIES:
            action, at = fields["does"], Resource("Console", self._id(fields["party"]))
        else:
            action, at = fields["does"], _look_up("document", fields["document"], self.documents)
        return Row(line, self._caller(fields), action, at, answer == "yes", fields["by"], fields["because"])

    def _caller(self, fields: Mapping[str, str]) -> Principal:
        """Return the caller; `orchestrator > agent/writer` is the writer, whom the orchestrator has called.

        A client that users sign in with, alone, is the user in person; a party that operates, alone, is itself.
        """
        names = fields["agent"].split(" > ")
        if len(names) > MAX_ACTORS:
            raise ValueError(f"{len(names)} agents, and a token names {MAX_ACTORS}")
        alone = self.registry.initiating_clients | self.registry.operating
        in_person = len(names) == 1 and self._id(names[0]) in alone
        ids = [self._id(name) for name in reversed(names)]
        return caller(
            ids[0],
            subject=fields["user"],
            actors=() if in_person else tuple(ids),
            scopes=fields["scopes"].split(),
            groups=_look_up("user", fields["user"], self.groups),
        )

    def _id(self, name: str) -> str:
        """Return a party's identifier; for an unknown party, its name."""
        return self.registry.id(name) if name in self.registry.parties else name


def read_rows(text: str, registry: Registry) -> list[Row]:
    """Return the questions of a table.  Raises `TableError`, with all rows that are wrong."""
    reader, found, wrong = _Reader(registry), list[Row](), list[str]()
    header: tuple[str, ...] = ()
    for line, written in enumerate(text.split("\n"), 1):
        try:
            if not (cells := _cells(written)):
                continue
            if tuple(cells) in {PEOPLE, DOCUMENTS, TASKS, APIS, ACCESS, OF_TASKS, OF_PARTIES}:
                header = tuple(cells)
            elif row := reader.row(line, header, cells):
                found.append(row)
        except ValueError as error:
            wrong.append(f"{FILE}, line {line}: {error}")
        if len(found) > MOST_ROWS:
            wrong.append(f"{FILE}, line {line}: more than {MOST_ROWS:,} rows")
            break
    if wrong:
        raise TableError(wrong)
    return found


def _add(kind: str, name: str, one: T, table: dict[str, T]) -> None:
    if name in table:  # control: table-names-once
        raise ValueError(f"the {kind} {name!r} is in a table above: a row there would be another one than it says")
    table[name] = one


def _look_up(kind: str, name: str, table: Mapping[str, T]) -> T:
    if name not in table:
        raise ValueError(f"the {kind} {name!r} is in no table above: correct the name, or add a row there")
    return table[name]


def _cells(line: str) -> list[str]:
    """Return the cells of a row of a table; nothing for a separator or any other line.

    Raises `ValueError` for a line that people would read otherwise.  Without a bar at its begin or end, it is a row for
    Markdown, and HTML is shown otherwise, or not at all.
    """
    if "<" in (line := line.rstrip(" ")):  # control: table-without-html
        raise ValueError("HTML is not read: remove the `<`")
    if "|" not in line or _SEPARATES.fullmatch(line):
        return []
    if not (line.startswith("|") and line.endswith("|")):
        raise ValueError("a row of a table begins with `|` and ends with `|`; nothing else has one")
    return [cell.strip(" `") for cell in line[1:-1].split("|")]
