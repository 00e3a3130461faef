"""Draws what records say as a sequence diagram: who called whom, in order, and what was refused.  Pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Alarm, Counts, Data, Exchange, Issued, Outcome, RegistryChange, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import Calls, short, token_name
from zt.audit.sequence import Arrow, sequence
from zt.audit.trail import decision_of, describe, short_codes, token_of, users

MOST_STEPS = 200
"""Steps of a diagram: more would be too many to look through, and a picture of them is 11,000 pixels high."""
ISSUER, SOMEBODY = "keycloak", "somebody"
"""The issuer of tokens, and a caller in no record."""
LONGEST = 130
"""Characters of a step: an exchange of T0 names the scopes that it drops."""
UNUSED = "a token"
"""A token without a call, or that no record of its receiver names."""


def diagram(about: str, events: Iterable[AuditEvent], calls: Calls = MappingProxyType({})) -> str:
    """Return the diagram of these events, which are in the order of time.

    `calls`: the parties that each party may call, for the names of tokens.
    """
    known = list(events)
    ends = {_span(event): event.data for event in known if isinstance(event.data, Outcome)}
    tokens = [token for event in known if (token := token_of(event)) and event.service == token.audience]
    names = {token.token_id: token_name(calls, token) for token in tokens}
    steps = [step for event in known for step in _steps(event, ends, names)]
    shown = steps[:MOST_STEPS]
    parties = list(dict.fromkeys(party for step in shown for party in (step.start, step.end))) or [ISSUER]
    parties.sort(key=lambda party: party == ISSUER)  # stable: the others stay in the order in which they come
    began = dt.datetime.fromtimestamp(known[0].time / MICROSECONDS, dt.UTC) if known else None
    refused = sum(step.sign == "refused" for step in steps)
    count = f"the first {len(shown)} of {len(steps)} steps" if len(shown) < len(steps) else f"{len(steps)} steps"
    whom = "".join(f", {one}" for one in users(known))
    title = f"{about}, {began:%Y-%m-%d %H:%M:%SZ}{whom}: {count}, {refused} refused"
    code = {party: f"code {digits}" for party, digits in short_codes(known).items() if digits}
    clients = {token.party for event in known if (token := token_of(event))} | {SOMEBODY}  # workloads have whole ids
    kinds = {party: "authority" if party.startswith(("authority/", ISSUER)) else "workload" for party in parties}
    kinds |= dict.fromkeys(clients & kinds.keys(), "person")
    return sequence(title, kinds, shown, code)


def _steps(event: AuditEvent, ends: Mapping[tuple[str, str], Outcome], names: Mapping[str, str]) -> Iterator[Arrow]:
    data, here, said = event.data, short(event.service), describe(event)
    start, end, decision = here, here, decision_of(event.data)
    match data:
        case Outcome() | Counts() | Issued():  # the arrow of its call says it; calls and tokens that have no order
            return
        case Request():
            start = short(data.peer.id) if data.peer else data.principal.party if data.principal else SOMEBODY
            token = f"{names.get(data.principal.token_id, UNUSED)}: " if data.principal else ""
            said = f"{token}{said}{_outcome_text(ends.get(_span(event)))}"
        case Exchange():
            before, after = (names.get(str(token), UNUSED) for token in (data.parent_token_id, data.token_id))
            dropped = " ".join(scope for scope in data.principal.scopes if scope not in data.scopes)
            end, said = ISSUER, f"exchange {before} → {after} for {short(data.audience)}"
            said += f", without {dropped}" if dropped else ""
    text = f"{said}: {decision.reason}" if decision and not decision.allowed else said
    yield Arrow(start, end, text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…", _sign(data, decision))


def _sign(data: Data, decision: Decided | None) -> str:
    match data:
        case Alarm(cause="unexplained" | "unknown") | RegistryChange(action="drift"):
            return "tampered"
        case RegistryChange(action="suspend" | "revoke"):
            return "revoked"
    return "granted" if decision is None or decision.allowed else "refused"


def _outcome_text(outcome: Outcome | None) -> str:
    """Return how a call ended: its status, and the milliseconds that it took."""
    if not outcome:
        return ""
    how = f"{outcome.status}" if outcome.ended == "complete" else outcome.ended.replace("_", " ")
    return f" → {how}, {outcome.duration / 1_000:.0f} ms"


def _span(event: AuditEvent) -> tuple[str, str]:
    return event.service, event.trace.span_id if event.trace else ""
