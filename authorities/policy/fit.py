"""Checks policies before they are published.  Each function returns the problems, in words.

Pure, except for the random subjects of operators, which no rule can name.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from uuid import uuid4

from cedarpy import pst

from authorities.policy.callers import caller, calls
from authorities.policy.decisions import FILE, Row, TableError, read_rows
from authorities.policy.rules import Rule, rules_of
from authorities.policy.text_checks import check_text
from authorities.policy.versions import Content
from zerotrust.decision import Resource
from zerotrust.policy import CedarPolicy, PolicyError
from zerotrust.registry.model import OPERATORS, Registry
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of

ADMIN, POLICIES = DOORS = "registry.admin", "policy.admin"
"""The scopes of the two authorities for operators: for people, never for a party that acts for them."""
REPLACE = "document.replace"
"""The action on a published document that only people may take."""
SUBJECTS = 3
"""Unknown operators for whom `of_operators` asks the policies."""
NEEDS = "it needs the condition `!context.delegated`"
IN_PERSON = pst.UnaryOp("not", pst.GetAttr(pst.Var("context"), "delegated"))
STATE = pst.GetAttr(pst.Var("resource"), "state")
_ID = re.compile(r"[a-z][a-z0-9-]{1,63}")
_ACTION = re.compile(r"[a-z]+(?:[._][a-z]+)*")
_NAMES = re.compile(r'//[^\n\r]*|@\w+\s*\(\s*"(?:\\.|[^"\\])*"|"((?:\\.|[^"\\])*)"|\b(namespace)\b', re.DOTALL)
"""In a schema: comments and annotations, which name nothing; what is quoted; and namespaces."""
_NUMBERED = re.compile(r"\[policy(\d{1,5})\] for policy `policy\1`, ")
_SENTENCE = re.compile(r"[A-Z](?:[^.!?\n]|\.(?=\S)){10,400}\.")


def problems(content: Content, registry: Registry, operators: Collection[str] = ()) -> list[str]:
    """Return why these policies are not published, or nothing: each with its file, and the rule or line it is about.

    `operators`: the subjects of operators who are known; each of them keeps the right to roll the policies back.
    """
    if why := check_text(content):
        return why
    document, table, wrong = content.document, list[Row](), list[str]()
    try:
        table = read_rows(content.table, registry)
    except TableError as error:
        wrong = error.lines
    places, refused = of_files(content.policies)
    if refused:  # control: each-file-is-cedar
        return [*refused, *wrong]
    try:
        judged = rules_of(document.policies)  # control: signed-text-judged
        rules = [replace(rule, place=place) for rule, place in zip(judged, places, strict=True)]
        engine = policy_of(document, registry)
    except (PolicyError, ValueError) as error:
        return [*of_cedar(str(error), places), *wrong]
    return [
        *of_schema(document.cedar_schema),
        *of_rules(rules, registry),
        *of_operators(
            engine, registry, {*operators, *(row.who.subject for row in table if OPERATORS in row.who.groups)}
        ),
        *of_people(document, registry, rules),
        *(wrong or [*of_table(engine, table), *of_coverage(document, registry, rules, table)]),
    ]


def of_files(files: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the place of each rule, and why files are refused: each has to be Cedar by itself.

    Then no file ends within a text or comment, so the files have the same rules one by one as in one text.
    """
    places, refused = list[str](), list[str]()
    for name in sorted(files):
        try:
            places += [f"{name}, {rule.place}" for rule in rules_of(files[name])]
        except (PolicyError, ValueError) as error:
            refused.append(f"{name}: {error}")
    return places, refused


def of_cedar(error: str, places: Sequence[str]) -> list[str]:
    """Return Cedar's own errors one by one.  It numbers the rules from 0; here each has its file and id instead."""
    found = dict[str, None]()
    for one in re.split(r"; (?=\[policy\d+\] )", error):
        place, why = "the policies do not fit", one
        if (named := _NUMBERED.match(one)) and int(named[1]) < len(places):
            place, why = places[int(named[1])], one[named.end() :]
        found[f"{place}: {why}"] = None
    return [*found]


def of_schema(schema: str) -> Iterator[str]:
    """Yield the names of a schema that confuse one action with another."""
    for quoted, namespace in _NAMES.findall(schema):
        if namespace:
            yield "the schema has a namespace: the policies are asked about actions without one"
        elif quoted and not _ACTION.fullmatch(quoted):
            yield f"the schema names {quoted!r}: a name has lower-case words with dots between them"


def of_rules(rules: Sequence[Rule], registry: Registry) -> Iterator[str]:
    """Yield the errors in the form of the rules, and the names in them that the registry does not know."""
    for rule in rules:
        name = rule.place
        if not _ID.fullmatch(rule.id):
            yield f'{name}: needs an @id of lower-case letters, digits and hyphens: @id("read-public")'
        if not _SENTENCE.fullmatch(rule.sentence):
            yield f"{name}: needs a @description of what it permits: one sentence, from a capital letter to a full stop"
        if not rule.permits:
            yield f"{name}: forbids: write it as a condition of what permits, because Cedar skips a forbid that errs"
        if not rule.actions:
            yield f"{name}: permits every action: name those that are meant"
        for action in _no_actions(rule):
            yield f"{name}: the action {action!r} has a name that is not made of lower-case words with dots between"
        for scope in sorted(rule.scopes - registry.scopes.keys()):
            yield f"{name}: the registry knows no scope {scope!r}: correct it, or add it to registry.yaml first"
        parties = {registry.id(party) for party in registry.parties}
        for party in sorted(entity for kind, entity in rule.entities if kind == "Party" and entity not in parties):
            yield f"{name}: the registry knows no party {party!r}"
    known = set[str]()
    for rule in rules:
        if rule.id and rule.id in known:
            yield f"{rule.place}: another rule has this @id"
        known.add(rule.id)


def _no_actions(rule: Rule) -> list[str]:
    """Return the actions of a rule that no party is asked about."""
    return [action for action in rule.actions if not _ACTION.fullmatch(action)]


def of_table(engine: CedarPolicy, table: Sequence[Row]) -> Iterator[str]:
    """Yield each row of the decision table that is decided otherwise.  A table needs rows with yes and rows with no."""
    if {row.allowed for row in table} != {True, False}:
        yield f"{FILE} needs rows with yes and rows with no"
    asked = [(row, row.ask(engine)) for row in table]
    # First a yes that should be a no, then the reverse, then where only the rule or the reason is another one.
    for row, decision in sorted(asked, key=lambda one: (one[0].allowed is one[1].allowed, one[0].allowed)):
        if differs := row.differs(decision):
            yield f"{FILE}, line {row.line} ({row.who.subject}, {row.action}): {differs}"


def of_coverage(
    document: PolicyDocument, registry: Registry, rules: Sequence[Rule], table: Sequence[Row]
) -> Iterator[str]:
    """Yield each rule without a row that it permits, and each of its actions without a row with no.

    Without its conditions, the rule has to permit such a row with no.  So the conditions are what the row tests.
    """
    permitting = {name for row in table if row.allowed for name in row.by.split(", ")}
    for rule in rules:
        if not rule.id or not rule.actions or _no_actions(rule):
            continue  # `of_rules` refuses it
        if rule.id not in permitting:  # control: rule-has-a-yes
            yield f"{rule.place}: {FILE} has no row with yes by {rule.id!r}: add a question that this rule permits"
        for action in rule.actions:
            text = replace(rule, actions=(action,)).unconditional
            alone = policy_of(document.model_copy(update={"policies": text}), registry)
            if not any(not row.allowed and row.ask(alone) for row in table):  # control: action-has-a-no
                yield f"{rule.place}: {FILE} has no row with no for {action!r}: add a question that stays refused"


def of_operators(engine: CedarPolicy, registry: Registry, known: Collection[str] = ()) -> Iterator[str]:
    """Yield a problem if an operator could not use `policy.admin` any more, and so could not roll these policies back.

    It asks for `known` operators, and for some that no rule can name: in each department, in all, and in none.
    """
    subjects = [*(str(uuid4()) for _ in range(SUBJECTS)), *known]
    every = registry.departments
    groups = [{OPERATORS}, *({OPERATORS, department} for department in every), {OPERATORS, *every}]
    if POLICIES in registry.scopes and not any(
        all(
            engine.decide(caller(registry.id(name), subject=subject, scopes={scope}, groups=of), scope, registry.id(at))
            for subject, of in product(subjects, groups)
        )
        for name, scope, at in calls(registry)
        if scope == POLICIES
    ):
        yield f"an operator could not use {POLICIES} any more, and so could not roll these policies back"


def of_people(document: PolicyDocument, registry: Registry, rules: Sequence[Rule]) -> Iterator[str]:
    """Yield each rule that might permit to a party that acts for a user what only people may do.

    Such a rule needs a condition that excludes delegated callers, beside its others and not within one: then it never
    permits to one, whatever else it says.
    """
    known = {"department": "", "state": "published", "owner": "", "classification": ""}
    published = Resource("Document", "", tuple(known.items()))
    for rule in rules:
        if _no_actions(rule):
            continue  # `of_rules` refuses it: what it permits is not asked
        policy = policy_of(document.model_copy(update={"policies": rule.unconditional}), registry)
        excluded = IN_PERSON in rule.conditions
        for scope in DOORS:
            at = registry.id(registry.authorities.registry)
            if policy.decide(caller(at, scopes={scope}), scope, at) and not excluded:
                yield f"{rule.place}: {scope} is for people: {NEEDS}"
        if policy.decide_on(caller(""), REPLACE, published) and not (
            excluded or any(map(_unpublished, rule.conditions))
        ):
            yield f"{rule.place}: to replace what is published is for people: {NEEDS}"


def _unpublished(condition: pst.Expr) -> bool:
    """Return whether a condition demands another state of the document than `published`."""
    if not isinstance(condition, pst.BinaryOp) or condition.op != "eq":
        return False
    sides = {condition.left, condition.right}
    return STATE in sides and any(isinstance(one, pst.StringLit) and one.value != "published" for one in sides)
