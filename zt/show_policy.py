"""Formats what the policy authority answers for people.  Pure: returns objects that rich prints."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zt.names import short
from zt.show import listing

Found = Mapping[str, Any]


def versions(found: Found, names: Mapping[str, str]) -> Table:
    """Return a table of versions, one line for each."""
    shown = listing("version", "since", "by", "why")
    for one in found["versions"]:
        active = one["number"] == found["active"]
        number = Text(f"{one['number']}{' in force' if active else ''}", "green" if active else "")
        again = f" (as version {one['of']})" if one["of"] else ""
        shown.add_row(number, Text(_at(one["at"])), Text(_by(one["by"], names)), Text(f"{one['why']}{again}"))
    return shown


def version(found: Found, files: Mapping[str, str]) -> str:
    """Return a version as one text: a head, and each file."""
    head = f"version {found['number']} of {_at(found['at'])}: {found['why']}\nsha256 {found['digest']}\n"
    return "\n".join([head, *(f"==> {name} <==\n{text}" for name, text in files.items())])


def differences(found: Found) -> Iterator[RenderableType]:
    """Yield the difference of the texts, and the answers that change."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    lines = found["text"].splitlines()
    if not lines:
        yield Text("Nothing differs.")
        return
    for line in lines:  # not folded: the lines are those of the files
        yield Text(line, colours.get(line[:1], ""), no_wrap=True, overflow="ignore")
    yield from _answers(found["answers"])


def tested(found: Found) -> Iterator[RenderableType]:
    """Yield whether policies are fit, what is wrong with them, and the answers that would change."""
    if problems := found["problems"]:
        yield Text(f"These policies may not be published ({len(problems)} problems):", "red")
        yield from (Text(f"- {one}") for one in problems)
    elif found["text"]:
        yield Text("These policies are fit to be published.", "green")
    else:
        yield Text(f"These are the policies in force, version {found['active']}.", "green")
        return
    yield from _answers(found["answers"])


def activated(found: Found, changed: Found) -> Iterator[RenderableType]:
    """Yield that a version is in force, and the answers that have changed."""
    again = f" It has the text of version {found['of']}." if found["of"] else ""
    yield Text(f"Version {found['number']} is in force.{again}", "green")
    yield from _answers(changed["answers"])


def may(found: Found) -> Iterator[RenderableType]:
    """Yield what a party may do."""
    uses = [f"{scope} at {party}" for scope, party in found["uses"]]
    yield Text(f"For a user of one department, or an operator, {found['party']} may use:")
    yield from (Text(f"- {one}") for one in uses or ["nothing"])
    if found["documents"]:
        yield Text("With documents it may do:")
        for kind, actions in found["documents"]:
            yield Text.assemble(f"- {kind}: ", (", ".join(actions) or "nothing", "green" if actions else "red"))


def explained(found: Sequence[Found], left_out: int) -> Iterator[RenderableType]:
    """Yield each decision in words: who, for whom, what, and by which rule or why not."""
    for one in found:
        yield _question(one)
        yield from (Padding(Text(line), (0, 0, 0, indent), expand=False) for indent, line in _because(one))
    if left_out:
        yield Text(f"{left_out} more refusals are not shown: ask with the id of a token.", "yellow")


def _question(one: Found) -> Text:
    groups = ", ".join(one["user"]["groups"]) or "no group"
    through = " > ".join(short(party) for party in one["through"])
    said = ("yes", "green") if one["allowed"] else ("no", "red")
    what = f"{one['asked']} at {short(one['at'])}"
    if thing := one["resource"]:
        known = ", ".join(f"{name} {text or 'none'}" for name, text in thing.items() if name != "name")
        what = f"{one['asked']} {thing['name']}" + (f" ({known})" if known else "")
    return Text.assemble(said, f"  {through} asked for {what}, for the user {one['user']['subject']} ({groups}).")


def _because(one: Found) -> Iterator[tuple[int, str]]:
    """Yield lines, each with its indent."""
    if one["allowed"]:
        for rule in one["rules"]:
            yield 4, f"Rule {rule['id']} permits it" + (f": {rule['sentence']}" if rule["sentence"] else ".")
        return
    if one["policy"] is None:
        yield 4, f"No rule was asked: {one['reason']} (docs/reasons.md says what that means)."
        return
    if one["nearest"] is None:
        yield 4, f"{one['reason']}, by policy {one['policy']}, of which the rules are not kept any longer."
        return
    if one["now"]:
        yield 4, "It was refused then. By the registry of today, it would be permitted"
    elif one["nearest"]:
        yield 4, "No rule permits it. It would have been permitted"
    else:
        yield 4, f"No rule is about {one['asked']}, so nobody may do it."
    for rule in one["nearest"]:
        missed = "".join(f", but {what}" for what in rule["missed"])
        yield 4, f"- by rule {rule['id']}{missed}."
        yield 6, f"The rule: {rule['sentence']}"
    if one["instead"]:
        yield 4, f"With the same token and the same thing it may: {', '.join(one['instead'])}."


def _answers(found: Iterable[Found] | None) -> Iterator[RenderableType]:
    if found is None:
        yield Text("Which answers change is not known, because one of the two does not fit the registry.", "yellow")
    elif not (rows := [*found]):
        yield Text("No answer in the decision table changes.")
    else:
        yield Text(
            f"{len(rows)} answer{'s'[: len(rows) - 1]} of the decision table change{'s' if len(rows) == 1 else ''}:"
        )
        for row in rows:
            yield Text(f"- {row['user']}, through {row['through']}, with {row['scopes'] or 'no scope'}:")
            yield Text.assemble(
                f"  {row['does']} {row['at']}: ", (row["before"], "red"), " -> ", (row["after"], "green")
            )


def _at(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone():%Y-%m-%d %H:%M}"


def _by(subject: str | None, names: Mapping[str, str]) -> str:
    return names.get(subject, f"{subject[:8]}…") if subject else "setup"
