"""What a party may do, asked and not described: each line of it is an answer of the policies.  Pure.

It is asked for a user of one department, the first in the registry, and for an operator, with all scopes that the
registry lets the party hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from authorities.policy.callers import caller, calls
from authorities.policy.rules import Rule
from zerotrust.decision import Resource
from zerotrust.identity import Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import OPERATORS, Registry

DOCUMENTS = {
    "a draft of the user's own": ("draft", "the user", 0, "internal"),
    "a restricted draft of the user's own": ("draft", "the user", 0, "restricted"),
    "a colleague's draft": ("draft", "a colleague", 0, "internal"),
    "what the user's department has published": ("published", "a colleague", 0, "internal"),
    "a restricted document of the user's own that is published": ("published", "the user", 0, "restricted"),
    "a restricted document of a colleague's that is published": ("published", "a colleague", 0, "restricted"),
    "a draft in another department, also the user's own": ("draft", "the user", 1, "internal"),
    "what another department has published": ("published", "a colleague", 1, "internal"),
    "what another department has published and made public": ("published", "a colleague", 1, "public"),
}
"""Kinds of documents: state, owner, the place of the department in the registry (the user's is the first), class.

Where the name says nothing of a class, it is internal; nothing of a department, it is the user's.
"""


@dataclass(frozen=True, slots=True)
class May:
    uses: tuple[tuple[str, str], ...] = ()
    """Scopes, each with the party at which it may be used."""
    documents: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Kinds of documents, each with what may be done with it; empty for a party that calls no server of documents."""


def of_party(name: str, engine: CedarPolicy, rules: Sequence[Rule], registry: Registry) -> May:
    who = _callers(name, registry)
    uses = tuple(
        (scope, callee)
        for caller_name, scope, callee in calls(registry)
        if caller_name == name and any(engine.decide(one, scope, registry.id(callee)) for one in who)
    )
    servers = {server for rule in _on_documents(rules) for scope in rule.scopes for server in _served(scope, registry)}
    if servers & {*registry.parties[name].may_call}:
        return May(uses, _documents(who[0], engine, rules, registry))
    return May(uses)


def of_person(engine: CedarPolicy, rules: Sequence[Rule], registry: Registry) -> May:
    """Return what a user with all scopes might do with documents in person."""
    scopes = {scope for rule in rules for scope in rule.scopes}
    who = caller("", subject="the user", scopes=scopes, groups={registry.departments[0]})
    return May(documents=_documents(who, engine, rules, registry))


def _callers(name: str, registry: Registry) -> list[Principal]:
    """Return whom a party can present: a user of the first department, and an operator; or itself."""
    party, scopes = registry.id(name), registry.parties[name].delegates
    if party in registry.operating:
        return [caller(party, subject=party, scopes=scopes)]
    actors = () if party in registry.initiating_clients else (party,)
    groups = ({registry.departments[0]}, {OPERATORS})
    return [caller(party, subject="the user", actors=actors, scopes=scopes, groups=group) for group in groups]


def _on_documents(rules: Sequence[Rule]) -> list[Rule]:
    return [rule for rule in rules if any(action.startswith("document.") for action in rule.actions)]


def _served(scope: str, registry: Registry) -> list[str]:
    return registry.scopes[scope].served_by if scope in registry.scopes else []


def _documents(
    who: Principal, engine: CedarPolicy, rules: Sequence[Rule], registry: Registry
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    actions = sorted({action for rule in _on_documents(rules) for action in rule.actions})
    found = []
    for kind, (state, owner, department, classification) in DOCUMENTS.items():
        if department >= len(registry.departments):
            continue
        known = {"department": registry.departments[department], "state": state, "owner": owner}
        document = Resource("Document", "a document", (*known.items(), ("classification", classification)))
        may = (action.removeprefix("document.") for action in actions if engine.decide_on(who, action, document))
        found.append((kind, tuple(may)))
    return tuple(found)
