"""Draws what records say as a sequence diagram: who called whom, in order, and what was refused.  Pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import (
    Access,
    Alarm,
    Counts,
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
from zt.events_told import changed, resumed
from zt.names import short
from zt.sequence import sequence
from zt.svg import Arrow, Svg
from zt.whose import codes, for_whom, in_brief

MOST_STEPS = 200
"""Steps of a diagram: nobody looks through more, and a picture of them is 9,000 pixels high."""
ISSUER = "keycloak"
LONGEST = 70
"""Characters of a step."""


def diagram(about: str, events: Iterable[AuditEvent]) -> Svg:
    """Return the diagram of these events, which are in the order of time."""
    known = list(events)
    ends = {_span(event): event.data for event in known if isinstance(event.data, Outcome)}
    steps = [step for event in known for step in _steps(event, ends)]
    shown = steps[:MOST_STEPS]
    parties = list(dict.fromkeys(party for step in shown for party in (step.start, step.end)))
    parties.sort(key=lambda party: party == ISSUER)  # stable: the others stay in the order in which they come
    began = dt.datetime.fromtimestamp(known[0].time / MICROSECONDS, dt.UTC) if known else None
    refused = sum(step.refused for step in steps)
    count = f"the first {len(shown)} of {len(steps)} steps" if len(shown) < len(steps) else f"{len(steps)} steps"
    whom = "".join(f", {one}" for one in for_whom(known))
    title = f"{about}, {began:%Y-%m-%d %H:%M:%SZ}{whom}: {count}, {refused} refused"
    ran = {short(party): f"code {in_brief(digests)}" for party, digests in codes(known).items() if digests}
    code = {party: ran[party] for party in parties if party in ran}  # others have recorded nothing that has an arrow
    return sequence(title, parties or [ISSUER], shown, code)


def _steps(event: AuditEvent, ends: Mapping[tuple[str, str], Outcome]) -> Iterator[Arrow]:
    data = event.data
    here = short(event.service)
    start, end = here, here
    match data:
        case Request():
            start = short(data.peer.id) if data.peer else data.principal.party if data.principal else "somebody"
            says = data.operation + _ended(ends.get(_span(event)))
        case Exchange():
            end, says = ISSUER, f"exchange for {short(data.audience)}"
        case Access():
            says = f"{data.operation} {data.resource.name}"
        case UntrustedPeer():
            says = f"call of {short(data.party)}"
        case Refusal():
            says = "refuses"
        case RegistryChange():
            yield Arrow(here, here, _cut(changed(data)))
            return
        case Resumed():
            yield Arrow(here, here, _cut(resumed(data, here)))
            return
        case Alarm():
            yield Arrow(here, here, f"alarm: {data.cause} exchange of {short(data.party)}", refused=True)
            return
        case Outcome() | Counts() | Issued():  # the arrow of its call says it; calls and tokens that have no order
            return
        case _:
            assert_never(data)
    refused = not data.decision.allowed
    yield Arrow(start, end, _cut(f"{says}: {data.decision.reason}" if refused else says), refused)


def _ended(outcome: Outcome | None) -> str:
    """Return how a call ended: its status, and the milliseconds that it took."""
    if not outcome:
        return ""
    how = f"{outcome.status}" if outcome.ended == "complete" else outcome.ended.replace("_", " ")
    return f" → {how}, {outcome.duration / 1_000:.0f} ms"


def _span(event: AuditEvent) -> tuple[str, str]:
    return event.service, event.trace.span_id if event.trace else ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
