"""Formats the audit trail of a task as a tree.  Pure: returns objects that rich prints.  Journals have no tokens."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from rich.text import Text
from rich.tree import Tree

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import (
    Access,
    Alarm,
    Counts,
    Data,
    Exchange,
    Issued,
    Outcome,
    Refusal,
    RegistryChange,
    Request,
    Resumed,
    UntrustedPeer,
)
from zerotrust.audit.forms import MICROSECONDS
from zt.branches import Branches, author, first_hand, level
from zt.events_told import changed, counted, resumed
from zt.names import short
from zt.show_evidence import at

Decision = Request | Access | Exchange | Refusal | UntrustedPeer
"""The records with a decision."""

MOST_NAMED = 3
"""Transactions and versions of the policies that a heading names: a task has one of each, or two versions."""

LEFT_OUT: Mapping[type[Data], str] = {
    Exchange: "of an exchange, whose token has a branch as soon as it is used",
    Outcome: "of how a call ended, which --svg and --json show",
    Issued: "of what Keycloak has issued, of which an alarm tells what no journal has",
}
"""The records that a tree does not show, and why; a tree without any other record says how many there are."""


def decisions(events: Iterable[AuditEvent]) -> list[tuple[AuditEvent, Decision]]:
    """Return the records that the tree shows, by time: allowed exchanges have a branch of their own instead."""
    decided = [(event, event.data) for event in events if isinstance(event.data, Decision)]
    shown = [(event, data) for event, data in decided if not (isinstance(data, Exchange) and data.decision.allowed)]
    return sorted(shown, key=lambda one: one[0].time)


def trail(
    events: Iterable[AuditEvent], *, name: Callable[[Caller], str] = level, details: bool = False, ledger: str = ""
) -> Tree:
    """Return the audit trail of one task: each token below the one it came from, with the decisions about its calls.

    `name` names a token; with `details`, each refusal has its detail.  What belongs to no token is at the root.
    `ledger`: the SPIFFE ID of the audit authority; an alarm of anybody else names its author.
    """
    known = list(events)
    tree = Tree(Text(_label(known)))
    changes = [(event, event.data) for event in known if isinstance(event.data, RegistryChange)]
    rows = sorted([*decisions(known), *changes], key=lambda one: one[0].time)
    branches = Branches(tree, [token for _, data in rows if (token := getattr(data, "principal", None))], name)
    for event, data in rows:
        token = getattr(data, "principal", None)
        if not token:
            tree.add(_line(event, data, details=True).append(f"  ({short(event.service)})", "dim"))
            continue
        branches.of(token).add(_line(event, data, details=details).append_text(author(event, token)))
    for event in known:
        if isinstance(event.data, Alarm):
            tree.add(_alarm(event.data, "" if event.service == ledger else short(event.service)))
    for event in known:
        if isinstance(event.data, Resumed):
            tree.add(Text(resumed(event.data, short(event.service)), "yellow"))
    for line in counted(event.data for event in known if isinstance(event.data, Counts)):
        tree.add(Text(line, "dim"))
    if not tree.children:
        for kind, times in Counter(type(event.data) for event in known).items():
            tree.add(Text(f"{times:,} {'record' if times == 1 else 'records'} {LEFT_OUT[kind]}", "dim"))
    return tree


def by_transaction(events: Iterable[AuditEvent]) -> list[list[AuditEvent]]:
    """Return the events of each transaction, and those of none by their traces, in the order in which they began.

    Of what has no trace, each event stands alone, so that it has its time; but counts, and what Keycloak has issued,
    which are written every few seconds, are together.
    """
    groups: dict[str, list[AuditEvent]] = {}
    whose: dict[tuple[str, str], str] = {}
    for number, event in enumerate(events):
        token = getattr(event.data, "principal", None)
        span = event.trace.span_id if event.trace else f"{number}"
        at_it = event.service, span  # another party may say the same span of another transaction
        if token:
            whose[at_it] = token.transaction
        together = type(event.data).__name__ if isinstance(event.data, Counts | Issued) else span
        groups.setdefault(whose.get(at_it, event.trace.trace_id if event.trace else together), []).append(event)
    return list(groups.values())


def dated(tree: Tree, time: int) -> Tree:
    """Put a time, in microseconds since the epoch, before what a tree is about."""
    tree.label = Text(f"{at(time // MICROSECONDS)}, {tree.label}")
    return tree


def headed(tree: Tree, *lines: str) -> Tree:
    """Put lines below what a tree is about."""
    tree.label = Text("\n".join([str(tree.label), *lines]))
    return tree


def _label(events: list[AuditEvent]) -> str:
    """Return which transactions records are about, and which policies decided about calls, if they say so."""
    tokens = [token for event in events if (token := getattr(event.data, "principal", None))]
    decided = [data.decision for _, data in decisions(events) if getattr(data, "principal", None)]
    versions = [one.policy.version for one in decided if one.policy] or ["\N{EN DASH}"] * bool(decided)
    if not tokens:
        return "no transaction"
    about = _several("transaction", (token.transaction for token in first_hand(events) or tokens))
    return f"{about}, {_several('policy', versions)}" if versions else about


def _line(event: AuditEvent, data: Decision | RegistryChange, *, details: bool) -> Text:
    if isinstance(data, RegistryChange):
        return Text(changed(data), "yellow")
    decision = data.decision
    line = Text.assemble((decision.reason, "green" if decision.allowed else "red"), "  ", _what(event, data))
    if details and decision.detail not in ("", _said(data)) and not decision.allowed:
        line.append(f": {decision.detail}")
    return line


def _said(data: Decision) -> str:
    """Return the detail of a refusal that says no more than its line."""
    return f"{data.operation} {data.resource.name}" if isinstance(data, Access) else ""


def _alarm(alarm: Alarm, author: str) -> Text:
    """Return an alarm; `author`: who has recorded it, if it is not the audit authority."""
    text = f"alarm: {alarm.cause} exchange of {short(alarm.party)}: {alarm.token_id}"
    if author:
        return Text(f"{text}  (recorded by {author}, which is not the audit authority here)", "red")
    return Text(text, "green" if alarm.cause == "explained" else "red")


def _what(event: AuditEvent, data: Decision) -> str:
    match data:
        case Access():
            return f"{data.operation} ({data.resource.kind} {data.resource.name})"
        case Request():
            return data.operation
        case Exchange():
            return f"exchange for {short(data.audience)}: {' '.join(data.scopes)}"
        case UntrustedPeer():
            return f"call of {short(data.party)}"
        case Refusal():
            return f"refused by {short(event.service)} itself"


def _several(what: str, names: Iterable[str]) -> str:
    """Return the different names of a kind of thing, but for those beyond `MOST_NAMED`."""
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
    return f"{what} {', '.join(found[:MOST_NAMED])}{more}"
