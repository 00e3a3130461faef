"""Formats the decisions of a task and what the policy authority says about them, for people.  Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zt.names import short
from zt.rules_told import Found, sentences_of, told_apart
from zt.versions_told import by_whom

Line = tuple[bool, list[str]]
"""Whether something was permitted, and what is said of it."""


def explained(answer: Found, *, each: bool = False) -> Iterator[RenderableType]:
    """Yield what `explanations` returned in words: which versions decided, the refusals, the permissions, the rules.

    `each`: every decision in its order instead, also those that are alike.
    """
    versions, left_out = answer["versions"], answer["left_out"]
    found = [_with_version(one, versions) for one in answer["decisions"]]
    yield from by_whom(versions)
    same = len(users := {_user(one) for one in found}) == 1
    if same:
        yield Text(f"For the user {users.pop()}:")

    def asks(one: Found) -> str:
        return _question(one) + ("" if same else f", for the user {_user(one)}")

    if each:
        told = [(one["allowed"], [asks(one), *_why(one)]) for one in found]
    else:
        told = [*_refused(found, asks), *_permitted(found, same=same)]
    table = Table.grid(padding=(0, 2, 0, 0))
    for allowed, lines in told:
        _add(table, allowed=allowed, lines=lines)
    yield table
    yield from _rules(told_apart(found))
    if len(told) < len(found):
        yield Text("`--all` shows each decision by itself.", "dim")
    if left_out:
        yield Text(f"{left_out} more refusals are not shown: ask with the id of a token.", "yellow")


def _with_version(one: Found, versions: Sequence[Found]) -> Found:
    """Return a decision with whether its version is kept, and with its name if several have decided."""
    kept = any(version["number"] for version in versions if version["name"] == one["policy"])
    version = f" of version {one['policy']}" if len(versions) > 1 and one["policy"] else ""
    return {**one, "kept": kept, "version": version}


def _refused(found: Iterable[Found], asks: Callable[[Found], str]) -> Iterator[Line]:
    """Yield what was refused, and why; what is alike once, with how often."""
    refused = Counter((asks(one), *_why(one)) for one in found if not one["allowed"])
    for (question, *why), times in refused.items():
        yield False, [_often(times) + question, *why]


def _permitted(found: Iterable[Found], *, same: bool) -> Iterator[Line]:
    """Yield what each rule has permitted to each caller; the user as well, unless it is the same for all."""
    permitted = [one for one in found if one["allowed"]]
    for line in _summed(
        (_through(one), _by(one) + ("" if same else f" for {_user(one)}"), one["asked"]) for one in permitted
    ):
        yield True, [line]


def _add(table: Table, *, allowed: bool, lines: Iterable[str]) -> None:
    answer = Text("yes", "green") if allowed else Text("no", "red")
    for line in lines:
        table.add_row(answer, Text(line))
        answer = Text()


def _summed(permitted: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield a line for each caller and rule: how often, and what it asked for."""
    asked: dict[tuple[str, str], Counter[str]] = {}
    for through, by, what in permitted:
        asked.setdefault((through, by), Counter())[what] += 1
    for (through, by), counted in asked.items():
        yield f"{_often(counted.total())}{through}: {', '.join(counted)}{by}"


def _question(one: Found) -> str:
    what = f"{one['asked']} at {short(one['at'])}"
    if thing := one["resource"]:
        known = ", ".join(f"{name} {text or 'none'}" for name, text in thing.items() if name != "name")
        what = f"{one['asked']} {thing['name']}" + (f" ({known})" if known else "")
    return f"{_through(one)} asked for {what}" + (_by(one) if one["allowed"] else "")


def _why(one: Found) -> Iterator[str]:
    """Yield why something was refused; nothing of what was permitted."""
    if one["allowed"]:
        return
    if one["meaning"]:  # what the rules say of it today would not explain it
        yield f"No rule decided this: {one['reason']}.  {one['meaning']}"
        return
    if not one["fit"]:
        yield f"{one['reason']}.  Its record has more, or longer names than a token can have: no rule was asked."
        return
    if one["nearest"] is None:
        why = "cannot be read, or do not fit the registry of today" if one["kept"] else "are not kept any longer"
        yield f"{one['reason']}, by policy {one['policy']}, of which the rules {why}."
        return
    near = "; ".join(_missed(rule) for rule in one["nearest"])
    if one["now"]:
        yield f"It was refused then.  By the registry of today, it would be permitted by rule {near}{one['version']}."
    elif near:
        yield f"No rule{one['version']} permits it.  Nearest: {near}."
    else:
        yield f"No rule{one['version']} is about {one['asked']}, so nobody may do it."
    if one["instead"]:
        yield f"With the same token and the same thing it may: {', '.join(one['instead'])}."


def _missed(rule: Found) -> str:
    missed = ", and ".join(rule["missed"])
    return f"{rule['id']}, but {missed}" if missed else str(rule["id"])


def _rules(found: Sequence[Found]) -> Iterator[RenderableType]:
    """Yield each rule that was named, once, with its sentence."""
    named = sentences_of(found)
    if named:
        yield Text("The rules:")
    for rule, sentence in named.items():
        yield Padding(Text(f"{rule}: {sentence}" if sentence else f"{rule}: not kept any longer"), (0, 0, 0, 2))


def _through(one: Found) -> str:
    return " > ".join(short(party) for party in one["through"])


def _by(one: Found) -> str:
    rules = " and ".join(rule["id"] for rule in one["rules"])
    return f" ({rules or 'no rule'}{one['version']})"


def _user(one: Found) -> str:
    return f"{one['user']['subject']} ({', '.join(one['user']['groups']) or 'no group'})"


def _often(times: int) -> str:
    return f"{times} x " if times > 1 else ""
