"""What one record of a task tells people, as JSON: who called whom, with which token, and what was decided.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Access, Exchange, Outcome, Refusal, Request, UntrustedPeer
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import Calls, short, token_name
from zerotrust.decision import Reason, Rule

DIGITS = 12
"""Of a digest of code that people are shown."""
ISSUER = "Keycloak"
USE = "use"
"""The group of the actions that are permissions, as the policies name it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What records are explained with, as it is now."""

    calls: Calls
    """The parties that each party may call."""
    approved: Mapping[str, str | None]
    """The digest of the approved code of each party, by its name."""
    policy: str
    """The version of the policies in force."""
    rules: Mapping[str, Rule]


def hop_of(event: AuditEvent, tokens: Mapping[str, Caller], known: Known) -> dict[str, Any] | None:
    """Return what a record tells, or None if it is no part of a task.

    `tokens`: the task's tokens so far, by their ids.
    """
    data, here = event.data, short(event.service)
    told: dict[str, Any]
    match data:
        case Request():
            sender = short(data.peer.id) if data.peer else data.principal.party if data.principal else "a user"
            told = {"kind": "call", "from": sender, "to": here, "what": data.operation, "needs": data.permission}
        case Exchange():
            after = replace(data.principal, actors=(event.service, *data.principal.actors), audience=data.audience)
            new: dict[str, Any] = {
                "name": token_name(known.calls, after),
                "id": data.token_id,
                "for": short(data.audience),
            }
            new |= {"scopes": data.scopes, "dropped": sorted({*data.principal.scopes} - {*data.scopes})}
            told = {"kind": "exchange", "from": here, "to": ISSUER, "new": new}
            told["what"] = f"a token for {short(data.audience)}"
        case Access():
            told = {"kind": "access", "what": f"{data.operation} {data.resource.name}"}
        case Refusal():
            told = {"kind": "refusal", "what": "what the call asks for"}
        case UntrustedPeer():
            told = {"kind": "distrust", "what": f"trust in {short(data.party)}"}
        case Outcome():
            told = {"kind": "ended", "ended": data.ended, "status": data.status, "took": data.duration / 1000}
        case _:
            return None
    if not isinstance(data, Outcome):
        told |= _decided(data.decision, _action(data), known)
        if token := data.principal if not isinstance(data, UntrustedPeer) else None:
            told["token"] = _token(token, tokens, known) | {"own": event.service == token.audience}
    told |= {"at": event.time / MICROSECONDS, "by": here, "span": event.trace.span_id if event.trace else ""}
    code, approved = event.measurement or "", known.approved.get(here)
    return {"from": here, "to": here, "code": code[:DIGITS], "approved": bool(code) and code == approved} | told


def _action(data: Request | Exchange | Access | Refusal | UntrustedPeer) -> frozenset[str]:
    """Return the action that the policies were asked about, by its name and that of its group."""
    if isinstance(data, Access):
        return frozenset({data.operation})
    return frozenset({data.permission, USE}) if isinstance(data, Request) and data.permission else frozenset()


def _decided(decision: Decided, action: frozenset[str], known: Known) -> dict[str, Any]:
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
        "parent": parent,
        "for": short(token.audience),
        "through": [short(actor) for actor in reversed(token.actors)],
        "scopes": token.scopes,
        "dropped": sorted({*before} - {*token.scopes}),
        "ends": token.expires_at // MICROSECONDS,
    }
