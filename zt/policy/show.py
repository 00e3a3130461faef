"""Formats what the policy authority answers for people.  Pure: returns objects that rich prints."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from zerotrust.authority.names import short
from zt.show import counted, local_time, new_table

Found = Mapping[str, Any]


def versions(found: Found) -> Table:
    """Return a table of versions, one line for each."""
    shown = new_table("version", "since", "by", "why")
    for one in found["versions"]:
        active = one["number"] == found["active"]
        number = Text(f"{one['number']}{' in force' if active else ''}", "green" if active else "")
        by = f"{one['by'][:8]}…" if one["by"] else "setup"
        again = f" (as version {one['of']})" if one["of"] else ""
        shown.add_row(number, Text(local_time(one["at"])), Text(by), Text(f"{one['why']}{again}"))
    return shown


def version(found: Found, files: Mapping[str, str]) -> str:
    """Return a version as one text: a head, and each file."""
    head = f"version {found['number']} of {local_time(found['at'])}: {found['why']}\nsha256 {found['digest']}\n"
    return "\n".join([head, *(f"==> {name} <==\n{text}" for name, text in files.items())])


def test_result(found: Found) -> Iterator[RenderableType]:
    """Yield which rules and answers differ from those in force; then whether the policies are fit, and why not."""
    problems = found["problems"]
    if found["same"] and not problems:
        yield Text(f"These are the policies in force, version {found['active']}.", "green")
        return
    if problems and found["answers"] is None:
        yield Text("Which rules and answers change is known when the problems are corrected.", "yellow")
    else:
        yield from _changes(found)
    if not problems:
        yield Text("These policies are fit to be published.", "green")
        return
    further = found.get("further_problems", 0)
    yield Text(f"These policies may not be published ({counted(len(problems) + further, 'problem')}):", "red")
    yield from (Text(f"- {one}") for one in problems)
    if further:
        yield Text(f"and {further} more.")


def activation(found: Found, changed: Found) -> Iterator[RenderableType]:
    """Yield that a version is in force, and the rules and answers that have changed."""
    again = f" It has the text of version {found['of']}." if found["of"] else ""
    yield Text(f"Version {found['number']} is in force.{again}", "green")
    yield from _changes(changed)


def _changes(found: Found) -> Iterator[RenderableType]:
    if (told := found["answers"]) is None:
        yield Text("The changes are not known: a published version no longer fits the registry.", "yellow")
        return
    for rule in found["rules"]:
        yield Text(f"The rule {rule['id']} changes:")
        yield Text.assemble("  ", (rule["before"], "red"), "\n  -> ", (rule["after"], "green"))
    rows = [row for row in told if row["before"].partition(" ")[0] != row["after"].partition(" ")[0]]
    if not rows:
        yield Text("No answer in the decision table changes.")
    else:
        yield Text(f"{counted(len(rows), 'answer')} of the decision table change{'s' if len(rows) == 1 else ''}:")
        for row in rows:
            change = (row["before"], "red"), " -> ", (row["after"], "green")
            yield Text(f"- {row['user']}, through {row['through']}, with {row['scopes'] or 'no scope'}:")
            yield Text.assemble(f"  {row['does']} {row['at']}: ", *change)
    if more := found.get("more"):
        yield Text(f"{more} more rows with other answers are not shown: compare smaller steps.", "red")
    if same := len(told) - len(rows):
        yield Text(f"Only the rule or the reason differs: {counted(same, 'row')} (`--json`).")


def explanation_lines(answer: Found) -> Iterator[RenderableType]:
    """Yield what `explanations` returned in words: the versions that decided, the decisions, the rules.

    Refusals come first, and what is alike is one line with a count.
    """
    versions, found = answer["versions"], answer["decisions"]
    yield from version_lines(versions)
    users = dict.fromkeys(map(_user, found))
    if len(users) == 1:
        yield Text(f"For the user {next(iter(users))}:")
    told = Counter[tuple[bool, str, tuple[str, ...]]]()
    for one in found:
        asked = _request_text(one, versions) + (f", for the user {_user(one)}" if len(users) > 1 else "")
        told[one["allowed"], asked, tuple(_why(one))] += 1
    table = Table.grid(padding=(0, 2, 0, 0))
    for (allowed, asked, why), times in sorted(told.items(), key=lambda line: line[0][0]):
        table.add_row(
            Text("yes", "green") if allowed else Text("no", "red"), Text(f"{times} x {asked}" if times > 1 else asked)
        )
        for line in why:
            table.add_row("", Text(line))
    yield table
    rules = [*_rules(found)]
    if rules:
        yield Text("The rules:")
        yield from (Padding(Text(line), (0, 0, 0, 2)) for line in rules)
    if answer["left_out"]:
        yield Text(f"{answer['left_out']} more refusals are not shown: ask with the id of a token.", "yellow")


def version_lines(versions: Sequence[Found]) -> Iterator[Text]:
    """Yield which versions decided, and the version in force now where that differs."""
    for one in versions:
        if one["in_force"]:
            life = f"in force since {local_time(one['since'])}"
        elif one["since"] is None:
            life = "which the policy authority does not keep"
        else:
            until = f" until {local_time(one['until'])}" if one["until"] else ""
            life = f"in force from {local_time(one['since'])}{until}"
        yield Text(f"Decided by policy {one['name']}, {life}.")
    if versions and not any(one["in_force"] for one in versions):
        yield Text(f"Version {versions[0]['active']} is in force now.", "yellow")


def _request_text(one: Found, versions: Sequence[Found]) -> str:
    """Return who asked for what, and by which rules, of which version if several decided, it was permitted."""
    what = f"{one['asked']} at {short(one['at'])}"
    if thing := one["resource"]:
        known = ", ".join(f"{name} {text or 'none'}" for name, text in thing.items() if name != "name")
        what = f"{one['asked']} {thing['name']}" + (f" ({known})" if known else "")
    by = " and ".join(rule["id"] for rule in one["rules"]) or ("no rule" if one["allowed"] else "")
    of = f"policy {one['policy']}" if len(versions) > 1 and one["policy"] else ""
    end = ", ".join(filter(None, [by, of]))
    return f"{' > '.join(map(short, one['through']))} asked for {what}" + (f" ({end})" if end else "")


def _why(one: Found) -> Iterator[str]:
    """Yield why something was refused; nothing of what was permitted."""
    if one["allowed"]:
        return
    if one["meaning"]:  # what the rules say of it today would not explain it
        yield f"No rule decided this: {one['reason']}.  {one['meaning']}"
    elif not one["fit"]:
        yield f"{one['reason']}.  Its record has more, or longer names than a token can have: no rule was asked."
    elif one["nearest"] is None:
        yield f"{one['reason']}.  The rules of policy {one['policy']} are not kept, or do not fit today's registry."
    else:
        missed = {rule["id"]: ", and ".join(rule["missed"]) for rule in one["nearest"]}
        near = "; ".join(f"{rule}, but {what}" if what else rule for rule, what in missed.items())
        if one["now"]:
            yield f"It was refused then.  By the registry of today, it would be permitted by rule {near}."
        else:
            none = f"No rule is about {one['asked']}, so it is refused to all."
            yield f"No rule permits it.  Nearest: {near}." if near else none


def _rules(found: Sequence[Found]) -> Iterator[str]:
    """Yield each rule that was named with its sentence; with its version, where versions differ."""
    named: dict[str, dict[str, str]] = {}
    for one in sorted(found, key=lambda one: bool(one["allowed"])):
        for rule in [*(one["nearest"] or ()), *one["rules"]]:
            of = named.setdefault(rule["id"], {})
            of[one["policy"]] = of.get(one["policy"]) or rule["sentence"]
    for rule, sentences in named.items():
        same = len({*sentences.values()}) == 1
        for policy, sentence in [*sentences.items()][: 1 if same else None]:
            yield f"{rule}{'' if same else f' (policy {policy})'}: {sentence or 'not kept any longer'}"


def _user(one: Found) -> str:
    return f"{one['user']['subject']} ({', '.join(one['user']['groups']) or 'no group'})"
