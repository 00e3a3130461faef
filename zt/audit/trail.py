"""Shows records to people: whole tasks as trees of their tokens, and who wrote them with which code.  Pure.

A record proves what its writer said.  A party verifies the tokens that are for it, so only its own records are sure of
them.  Records that make different claims about a token have different branches.  A line names its author if the token
is for another party.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import assert_never

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from zerotrust.audit import event_types
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.authority.names import Calls, short, token_name
from zerotrust.identity import MAX_ACTORS
from zt.audit.query import Records
from zt.reasons import BY_RULES
from zt.show import counted, new_table, utc_time

DIGITS = 12
"""Digits of a digest of code that people are shown: chance finds no other code with the same digits."""
MOST_NAMED = 5
"""Authors of records that were left out who are named, those with the most first; `--json` names all of them."""
MOST = 3
"""Names of one kind that are shown where one is usual: transactions, versions, users, digests of one party."""

Claims = tuple[str, tuple[str, ...], str, tuple[str, ...], str, str]
"""A token's way in a record: its id, those before it, the client, who acts, who presents it, and to whom."""


def trail(
    events: Iterable[AuditEvent],
    *,
    calls: Calls = MappingProxyType({}),
    details: bool = False,
    ledger: str = "",
    dated: bool = False,
) -> Tree:
    """Return the records of one task: each token below its origin, with what was done with it.

    Records without a token are at the root.  Allowed exchanges, outcomes, and what Keycloak has issued are no lines:
    the token of an exchange has a branch as soon as it is used.  `calls`: the parties that each party may call, for the
    names of tokens.  `details`: whether refusals have theirs.  `ledger`: the SPIFFE ID of the audit authority; no line
    takes another party's alarm for true.  `dated`: whether the heading says for whom and when.
    """
    known = sorted(events, key=lambda one: one.time)
    lines = [(event, token_of(event)) for event in known if is_shown(event.data)]
    head, whom, when = _heading(known), users(known), f"at {utc_time(known[0].time // MICROSECONDS)}" if known else ""
    if dated:
        head = "\n".join([head, *whom, when]) if whom else f"{head}, {when}"
    tree = Tree(Text(head))
    branches = _Branches(tree, [token for _, token in lines if token], calls)
    for event, token in lines:
        foreign = token is None or event.service != token.audience  # control: foreign-record-named
        by = f"  (recorded by {short(event.service)})" if foreign else ""
        line = _line(event, details=details or not token, ledger=ledger)
        branches.branch(token).add(line.append(by, "red" if token else "dim"))
    for tally in _count_lines(known):
        tree.add(Text(tally, "dim"))
    if not tree.children:
        tree.add(Text(f"exchanges, outcomes or issued tokens alone, which --json shows: {len(known):,}", "dim"))
    return tree


def describe(event: AuditEvent) -> str:
    """Return what a record is about."""
    match data := event.data:
        case event_types.Request():
            said = str(data.operation)
        case event_types.Access():
            said = f"{data.operation} ({data.resource.kind} {data.resource.name})"
        case event_types.Exchange():
            said = f"exchange for {short(data.audience)}: {' '.join(data.scopes)}"
        case event_types.UntrustedPeer():
            said = f"call of {short(data.party)}"
        case event_types.Refusal():
            said = f"refused by {short(event.service)} itself"
        case event_types.RegistryChange():
            said = _describe_change(data)
        case event_types.Alarm():
            said = f"alarm: {data.cause} exchange of {short(data.party)}: {data.token_id}"
        case event_types.Outcome() | event_types.Counts() | event_types.Issued():
            said = data.type
        case _:
            assert_never(data)
    return said


def decision_of(data: event_types.Data) -> Decided | None:
    """Return the decision in a record, if it has one."""
    return getattr(data, "decision", None)


def is_shown(data: event_types.Data) -> bool:
    """Whether a record is a line of its own in a tree."""
    allowed_exchange = isinstance(data, event_types.Exchange) and data.decision.allowed
    return not (allowed_exchange or isinstance(data, event_types.Outcome | event_types.Issued | event_types.Counts))


def token_of(event: AuditEvent) -> Caller | None:
    """Return the token in a record, if it has one."""
    return getattr(event.data, "principal", None)


def group_by_transaction(events: Iterable[AuditEvent]) -> list[list[AuditEvent]]:
    """Return the events of each transaction, and those of none by their traces, in the order in which they began.

    Of what has no trace, each event stands alone, so that it has its time; but counts, and what Keycloak has issued,
    which are written every few seconds, are together.
    """
    groups: dict[str, list[AuditEvent]] = {}
    whose: dict[tuple[str, str], str] = {}
    for number, event in enumerate(events):
        span = event.trace.span_id if event.trace else f"{number}"
        at_it = event.service, span  # another party may say the same span of another transaction
        if token := token_of(event):
            whose[at_it] = token.transaction
        together = event.data.type if isinstance(event.data, event_types.Counts | event_types.Issued) else span
        groups.setdefault(whose.get(at_it, event.trace.trace_id if event.trace else together), []).append(event)
    return list(groups.values())


def users(events: Iterable[AuditEvent]) -> list[str]:
    """Return a line for each user whose token was presented, first the user whom most parties name.

    A task has one user, unless a party lies.
    """
    by: dict[str, list[str]] = {}
    for event in events:
        if token := token_of(event):
            groups = f" ({', '.join(map(sanitize, token.groups))})" if token.groups else ""
            by.setdefault(f"for user {token.subject}{groups}", []).append(short(event.service))
    most = sorted(by.items(), key=lambda one: -len({*one[1]}))  # whoever lies may have dated its records earlier
    found = [f"{user}, by the records of {join_names(parties)}" if len(by) > 1 else user for user, parties in most]
    return found[:MOST] + ([f"and for {len(found) - MOST:,} more users"] if len(found) > MOST else [])


def code_digests(events: Iterable[AuditEvent]) -> dict[str, list[str]]:
    """Return the digests of the code of each party that wrote records, by its SPIFFE ID; usually one, or none."""
    found: dict[str, dict[str, None]] = {}
    for event in events:
        found.setdefault(event.service, {}).update({event.measurement: None} if event.measurement else {})
    return {party: list(digests) for party, digests in found.items()}


def short_codes(events: Iterable[AuditEvent]) -> dict[str, str]:
    """Return the same for people: the first digits of each digest, by the party's short name."""
    return {
        short(party): join_names(digest[:DIGITS] for digest in digests)
        for party, digests in code_digests(events).items()
    }


def join_names(names: Iterable[str], most: int = MOST) -> str:
    """Return the different names, but for those beyond `most`, which are counted."""
    found = list(dict.fromkeys(names))
    return ", ".join(found[:most]) + (f" and {len(found) - most:,} more" if len(found) > most else "")


def summary(found: Records, *, by_id: bool) -> Iterator[Table | Text]:
    """Yield which code wrote the records, how much was refused, who says why, and what was left out.

    `by_id`: whether they were asked for by an id, as the policy authority explains them.
    """
    events = found.events
    table = new_table("records of", "with code")
    for party, code in short_codes(events).items():
        table.add_row(Text(party), Text(code or "not recorded"))
    yield table
    decisions = [one for event in events if is_shown(event.data) and (one := decision_of(event.data))]
    if by_id and any(decision.reason in BY_RULES for decision in decisions):
        yield Text("Why something was refused: operators ask `zt policy explain` with the same id.")
    allowed, seconds = sum(one.allowed for one in decisions), (events[-1].time - events[0].time) / MICROSECONDS
    parties = len({event.service for event in events})
    yield Text(
        f"{allowed} allowed, {len(decisions) - allowed} refused, within {seconds:.1f} s; "
        f"{counted(len(events), 'record')} of {parties} {'party' if parties == 1 else 'parties'}."
    )
    yield from omitted_lines(found)


def omitted_lines(found: Records) -> Iterator[Text]:
    """Yield of whose records only the newest are shown."""
    if found.omitted:
        most = sorted(found.left_out.items(), key=lambda one: -one[1])
        whose = join_names((f"{many:,} of {author}" for author, many in most), MOST_NAMED)
        shown = len(found.events)
        text = f"Only {shown:,} of {shown + found.omitted:,} records are shown.  Older records are left out: {whose}."
        yield Text(text, "yellow")


def _heading(events: list[AuditEvent]) -> str:
    """Return which transactions records are about, and which policies decided about calls, if they name them."""
    tokens = [(event, token) for event in events if (token := token_of(event))]
    if not tokens:
        return "no transaction"
    first_hand = [token for event, token in tokens if event.service == token.audience]
    about = f"transaction {join_names(token.transaction for token in first_hand or [token for _, token in tokens])}"
    decided = [decision.policy for event, _ in tokens if (decision := decision_of(event.data))]
    versions = [policy.version for policy in decided if policy]
    return f"{about}, policy {join_names(versions) or 'not recorded'}" if decided else about


def _line(event: AuditEvent, *, details: bool, ledger: str) -> Text:
    """Return a record as one line; with the detail of a refusal, if that says more."""
    data, said = event.data, describe(event)
    if isinstance(data, event_types.Alarm):
        believed = event.service == ledger
        told = said if believed else f"{said}, which the audit authority here did not raise"
        return Text(told, "green" if believed and data.cause == "explained" else "red")
    if not (decision := decision_of(data)):
        return Text(said, "yellow")
    line = Text.assemble((decision.reason, "green" if decision.allowed else "red"), "  ", said)
    repeated = f"{data.operation} {data.resource.name}" if isinstance(data, event_types.Access) else ""
    more = details and not decision.allowed and decision.detail not in ("", repeated)
    return line.append(f": {decision.detail}") if more else line


def _describe_change(change: event_types.RegistryChange) -> str:
    """Return what was changed, why, and by whom: the operator's subject, or the party that reported it.

    What Keycloak changed names nobody; its cause begins with `keycloak: `.
    """
    by = change.principal.subject if change.principal else short(change.peer.id) if change.peer else None
    cause = f": {change.cause}" if change.cause else ""
    return f"{change.action} {change.target}{cause}" + (f" (by {by})" if by else "")


def _count_lines(events: Iterable[AuditEvent]) -> list[str]:
    """Return how many calls were only counted, a line for each reason: they have no records of their own."""
    times, records = Counter[str](), [event.data for event in events if isinstance(event.data, event_types.Counts)]
    for one in records:
        for few_of in one.unverified or ():
            times[f"of callers that were not verified: {few_of.reason}"] += few_of.times
        for again in one.repeated or ():
            times[f"more like one that is recorded: {again.reason}"] += again.times
    return [f"only counted: {number:,} {which}" for which, number in times.items()] or [
        "only counted: nothing" for _ in records[:1]
    ]


class _Branches:
    """The branches of a tree, one for each token and what is said of its way."""

    def __init__(self, tree: Tree, tokens: Iterable[Caller], calls: Calls) -> None:
        """`tokens`: all that have a branch."""
        self._tree, self._calls = tree, calls
        self._tokens = {_claims(token): token for token in tokens}
        self._made: dict[Claims, Tree] = {}

    def branch(self, token: Caller | None) -> Tree:
        """Return the branch of a token.

        It is below that of the token that it came from, if there is one of which exactly that is said.  No token that
        is accepted came from more than `MAX_ACTORS`; one that seems to is at the root, so that the tree is not deeper.
        """
        if token is None:
            return self._tree
        claims = _claims(token)
        if claims not in self._made:
            above = self._tokens.get(_parent_claims(token)) if 0 < len(token.lineage) <= MAX_ACTORS else None
            way = f" {short(token.party)} → {short(token.audience)}"
            self._made[claims] = self.branch(above).add(Text.assemble((token_name(self._calls, token), "bold"), way))
        return self._made[claims]


def _claims(token: Caller) -> Claims:
    # control: branch-as-claimed
    return token.token_id, token.lineage, token.client, token.actors, token.party, token.audience


def _parent_claims(token: Caller) -> Claims:
    """Return the claims about the token that this token was exchanged from: its audience presents this token."""
    presented_by = token.actors[1] if len(token.actors) > 1 else token.client
    return token.lineage[-1], token.lineage[:-1], token.client, token.actors[1:], presented_by, token.party
