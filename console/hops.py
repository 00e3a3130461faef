"""Shows one record of a task to people, as JSON: who called whom, with which token, and what was decided.  Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Access, Exchange, Outcome, Refusal, Request, UntrustedPeer
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import Calls, short, token_name
from zerotrust.decision import Reason, Rule

DIGITS = 12
"""Digits of a digest of code that people are shown."""
ISSUER = "Keycloak"
USE = "use"
"""The group of the actions that are permissions, as the policies name it."""


@dataclass(frozen=True, slots=True)
class Known:
    """The current names and rules that explain records."""

    calls: Calls
    """The parties that each party may call."""
    approved: Mapping[str, str | None]
    """The digest of the approved code of each party, by its name."""
    policy: str
    """The version of the policies in force."""
    rules: Mapping[str, Rule]


def hop_of(event: AuditEvent, tokens: Mapping[str, Caller], known: Known) -> dict[str, Any] | None:
    """Return what a record tells, or None if it does not belong to a task.

    `tokens`: the task's tokens so far, by their ids.
    """
    data, here, code = event.data, short(event.service), event.measurement or ""
    approved = bool(code) and code == known.approved.get(here)
    told: dict[str, Any] = {"from": here, "to": here, "by": here, "code": code[:DIGITS], "approved": approved}
    told |= {"at": event.time / MICROSECONDS, "span": event.trace.span_id if event.trace else ""}
    match data:
        case Outcome():
            return told | {"kind": "ended", "ended": data.ended, "status": data.status, "took": data.duration / 1000}
        case Request():
            sender = data.peer.id if data.peer else data.principal.party if data.principal else "a user"
            told |= {"kind": "call", "from": short(sender), "what": data.operation, "needs": data.permission}
        case Exchange():
            after = replace(data.principal, actors=(event.service, *data.principal.actors), audience=data.audience)
            dropped, to = sorted({*data.principal.scopes} - {*data.scopes}), short(data.audience)
            new = {"name": token_name(known.calls, after), "for": to, "scopes": data.scopes}
            told |= {"kind": "exchange", "to": ISSUER, "what": f"a token for {to}", "new": {**new, "dropped": dropped}}
        case Access():
            told |= {"kind": "access", "what": f"{data.operation} {data.resource.name}"}
            told |= {"groups": data.principal.groups, "facts": data.resource.attributes or {}}
        case Refusal():
            told |= {"kind": "refusal", "what": "the call that it had admitted"}
        case UntrustedPeer():
            told |= {"kind": "distrust", "what": f"trust in {short(data.party)}"}
        case _:
            return None
    if token := data.principal if not isinstance(data, UntrustedPeer | Refusal) else None:
        told["token"] = _token(token, tokens, known) | {"own": event.service == token.audience}
    # The action that the policies were asked about, by its name and that of its group.
    asked = {data.operation} if isinstance(data, Access) else {told["needs"], USE} if told.get("needs") else set()
    return told | _decided(data.decision, asked, known)


def _decided(decision: Decided, action: Set[str], known: Known) -> dict[str, Any]:
    """Return a decision.  `rules`: those that permitted it, or those by which it could have been permitted."""
    policy, named = decision.policy, decision.policy.rules if decision.policy else None
    rules = known.rules if policy and policy.version == known.policy else {}
    if not decision.allowed:
        by_rules = decision.reason in (Reason.POLICY_DENIED, Reason.RESOURCE_DENIED)
        named = tuple(id_ for id_, rule in rules.items() if by_rules and rule.actions & action)
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "detail": decision.detail or "",
        "rules": [{"id": id_, "says": rules[id_].sentence if id_ in rules else ""} for id_ in named or ()],
        "policy": policy.version if policy else "",
    }


def _token(token: Caller, tokens: Mapping[str, Caller], known: Known) -> dict[str, Any]:
    """Return what a token says; `through`: who acts for the user, the first one first."""
    parent = token.lineage[-1] if token.lineage else ""
    before = tokens[parent].scopes if parent in tokens else ()
    return {
        "name": token_name(known.calls, token),
        "id": token.token_id,
        "for": short(token.audience),
        "through": [short(actor) for actor in reversed(token.actors)],
        "scopes": token.scopes,
        "dropped": sorted({*before} - {*token.scopes}),
        "ends": token.expires_at // MICROSECONDS,
    }
