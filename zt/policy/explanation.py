"""The decisions of a task, as records have them, and what the policy authority says about each."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain, islice, pairwise
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Access, Request
from zerotrust.identity import MAX_ACTORS
from zt.people.authority_client import AuthorityClient
from zt.reasons import BY_RULES, meaning

MOST = 100
"""Refusals that are explained at once; the authority takes as many."""
MOST_VERSIONS = 16
"""Versions that are asked about at once; the authority takes as many."""
LONGEST_TEXT, MOST_NAMES, MOST_ATTRIBUTES = 1_000, 100, 16
"""Characters of a text, names in a list, and attributes of a resource: the authority takes no more in a question."""

Decision = tuple[AuditEvent, Request | Access]
Question = dict[str, Any]
"""About a refusal, as the authority takes it."""


def decisions(events: Iterable[AuditEvent]) -> list[Decision]:
    """Return the decisions about verified callers, in their order."""
    found = ((event, event.data) for event in events)
    return [(event, data) for event, data in found if isinstance(data, Request | Access) and data.principal]


async def explanations(
    authority: AuthorityClient, found: Sequence[Decision], authors: Mapping[int, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return each decision with its explanation, the versions that decided, and how many refusals are left out.

    `authors`: who wrote each record, by the `id()` of its event; by default, whom it names.
    """
    decided = [policy for _, data in found if (policy := data.decision.policy) and _decided_by_rules(data.decision)]
    names = dict.fromkeys(policy.version for policy in decided)
    versions = deciding_versions(names, await authority.ask("GET", "/versions"))
    refused = {id(data): _question(event, data) for event, data in found if _refused_by_rules(data)}
    fit = {one: question for one, question in refused.items() if _is_fit(question)}
    by = {id(data): authors.get(id(event), event.service) for event, data in found}
    asked, left_out = _select_questions(fit, by, {one["name"] for one in versions if one["number"]})
    permitted = {policy.version for policy in decided if policy.rules}
    named = [one["name"] for one in versions if one["number"] and one["name"] in permitted]
    body = {"refused": [*asked.values()], "versions": named[:MOST_VERSIONS]}
    answer = await authority.ask("POST", "/explanations", body)
    sentences = answer["sentences"]
    for start in range(MOST_VERSIONS, len(named), MOST_VERSIONS):  # at most all that the authority keeps
        more = {"versions": named[start : start + MOST_VERSIONS]}
        sentences |= (await authority.ask("POST", "/explanations", more))["sentences"]
    why = dict(zip(asked, answer["explanations"], strict=True))
    told = [
        _decision_json(event, data, why.get(id(data)), sentences) | {"fit": id(data) not in refused or id(data) in fit}
        for event, data in found
        if id(data) not in left_out
    ]
    return {"decisions": told, "versions": versions, "left_out": len(left_out)}


def deciding_versions(names: Iterable[str], listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return, for each version named in records, what the policy authority's list says of it.

    `listed`: the answer of `GET /versions`, which has the newest first.  `until`: when the next version replaced it.
    """
    versions, active = listed["versions"], listed["active"]
    kept = {f"{one['number']}-{one['digest'][:12]}": one for one in versions}
    until = {one["number"]: after["at"] for after, one in pairwise(versions)}
    found = []
    for name in names:
        one = kept.get(name) or {}
        number = one.get("number")
        dates = {"since": one.get("at"), "until": until.get(number)}
        found.append({"name": name, "number": number, **dates, "in_force": number == active, "active": active})
    return found


def _select_questions(
    questions: dict[int, Question], authors: Mapping[int, str], kept: Container[str]
) -> tuple[dict[int, Question], set[int]]:
    """Return the questions about versions that are kept, as many as may be asked at once, and which are left out.

    The first of each author, then the second of each, and so on: authors choose their own timestamps, so a flood must
    not displace other authors' records.
    """
    before, turns = Counter[str](), list[tuple[int, int]]()
    for one, question in questions.items():
        if question["policy"] in kept:
            turns.append((before[authors[one]], one))
            before[authors[one]] += 1
    about = {one: questions[one] for _, one in sorted(turns, key=itemgetter(0))}  # control: explained-by-shares
    versions = [*dict.fromkeys(question["policy"] for question in about.values())][:MOST_VERSIONS]
    asked = dict(islice((one for one in about.items() if one[1]["policy"] in versions), MOST))
    return asked, about.keys() - asked


def _is_fit(question: Question) -> bool:
    """Whether a record is of what a token can have: a party that runs other code may have written anything."""
    at = question["at"]
    kind, name, attributes = (at, at, {}) if isinstance(at, str) else (at["kind"], at["name"], at["attributes"])
    names = [question["actors"], question["scopes"], question["groups"]]
    texts = [question["subject"], question["party"], question["action"], kind, name, *attributes, *attributes.values()]
    return (
        all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in chain(texts, *names))
        and len(question["actors"]) <= MAX_ACTORS
        and max(map(len, names)) <= MOST_NAMES
        and len(attributes) <= MOST_ATTRIBUTES
    )


def _refused_by_rules(data: Request | Access) -> bool:
    return not data.decision.allowed and _by_rules(data.decision)


def _decided_by_rules(decided: Decided) -> bool:
    return bool(decided.policy and decided.policy.rules) if decided.allowed else _by_rules(decided)


def _by_rules(decided: Decided) -> bool:
    """Whether rules explain a refusal; the records of others name the version in force as well."""
    return decided.policy is not None and decided.reason in BY_RULES


def _question(event: AuditEvent, data: Request | Access) -> Question:
    caller, policy = data.principal, data.decision.policy
    assert caller  # noqa: S101 - `decisions` takes no others
    assert policy  # noqa: S101 - nor is another one `_by_rules`
    if isinstance(data, Request):
        thing: Question = {"action": data.permission, "at": event.service}
    else:
        kind, name, attributes = data.resource.kind, data.resource.name, data.resource.attributes or {}
        thing = {"action": data.operation, "at": {"kind": kind, "name": name, "attributes": attributes}}
    return {
        "policy": policy.version,
        "subject": caller.subject,
        "party": caller.party,
        "actors": [*caller.actors],
        "scopes": [*caller.scopes],
        "groups": [*caller.groups],
        **thing,
    }


def _decision_json(
    event: AuditEvent, data: Request | Access, why: dict[str, Any] | None, sentences: dict[str, dict[str, str] | None]
) -> dict[str, Any]:
    caller, decided = data.principal, data.decision
    assert caller  # noqa: S101 - `decisions` takes no others
    document = {"name": data.resource.name, **(data.resource.attributes or {})} if isinstance(data, Access) else None
    return {
        "time": event.time,
        "user": {"subject": caller.subject, "groups": [*caller.groups]},
        "through": [*reversed(caller.actors)] or [caller.party],
        "at": event.service,
        "asked": data.operation if isinstance(data, Access) else data.permission or data.operation,
        "resource": document,
        "allowed": decided.allowed,
        "reason": decided.reason,
        "policy": decided.policy.version if decided.policy else None,
        "rules": _rules(decided, sentences),
        "meaning": None if decided.allowed or _by_rules(decided) else meaning(decided.reason),
        "nearest": why["rules"] if why else None,
        "now": why["allowed"] if why else None,
    }


def _rules(decided: Decided, sentences: dict[str, dict[str, str] | None]) -> list[dict[str, str]]:
    """Return the rules that said yes, each with its sentence; "" where the version is not kept any longer."""
    policy = decided.policy
    known = (sentences.get(policy.version) or {}) if policy else {}
    return [{"id": rule, "sentence": known.get(rule, "")} for rule in (policy.rules if policy else None) or ()]
