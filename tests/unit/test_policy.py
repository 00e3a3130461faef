"""The engine that asks Cedar, and which API the policies and the registry open to whom.

Each condition of the rules is held by the decision table: `unit/test_policy_fit` asks all its rows.
"""

import dataclasses
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import strategies as st

from testkit import principal
from tests.support import system as support
from zerotrust.decision import Decision, Reason, Resource, Rule
from zerotrust.identity import Principal
from zerotrust.policy import NO_CODE, CedarPolicy, PolicyError
from zerotrust.registry.policy_bundle import party_entities
from zerotrust.runtime import policy_of

REGISTRY = support.registry()
TEXT, SCHEMA = support.POLICY.policies, support.POLICY.cedar_schema
POLICY = policy_of(support.POLICY, REGISTRY)

WORKLOADS = REGISTRY.services
SCOPES = [scope for scope, entry in REGISTRY.scopes.items() if {*entry.served_by} & REGISTRY.parties.keys()]
"""Those of our own doors: at a server outside, these policies do not decide."""
EVERYTHING = frozenset(SCOPES)


def caller(party: str, scopes: str = "", groups: str = "/engineering", **changed: Any) -> Principal:
    """A principal as the gate would have it, who holds all scopes unless told otherwise."""
    actor = REGISTRY.id("orchestrator") if party == "orchestrator" else party
    id_ = REGISTRY.id(party) if party in REGISTRY.parties else party
    given: dict[str, Any] = {
        "party": id_,
        "actors": () if id_ in REGISTRY.initiating_clients else (actor,),
        "scopes": frozenset(scopes.split()) or EVERYTHING,
        "groups": frozenset(groups.split()),
    }
    return principal(**(given | changed))


def document(
    department: str = "/engineering", state: str = "draft", owner: str = "alice", classification: str = "internal"
) -> Resource:
    known = {"department": department, "state": state, "owner": owner, "classification": classification}
    return Resource("Document", "D-1", tuple(known.items()))


# Who may use what where, whatever else they hold. Everything that is not in here is a no.
ALLOWED = {
    ("walkthrough", "task.run", "orchestrator"),
    ("walkthrough", "reasoning.plan", "orchestrator"),
    ("console", "task.run", "orchestrator"),
    ("console", "reasoning.plan", "orchestrator"),
    ("orchestrator", "agent.invoke", "agent/reader"),
    ("orchestrator", "agent.invoke", "agent/writer"),
    ("orchestrator", "inference.run", "inference"),
    ("orchestrator", "model.read", "inference"),
    ("agent/reader", "tool.read", "tool/documents"),
    ("agent/reader", "inference.run", "inference"),
    ("agent/writer", "tool.write", "tool/documents"),
    ("agent/writer", "inference.run", "inference"),
}


@pytest.mark.parametrize("party", ["walkthrough", *WORKLOADS])
@pytest.mark.parametrize("scope", SCOPES)
def test_an_api_is_open_to_exactly_those_whom_the_registry_lets_call_it(party: str, scope: str) -> None:
    """One row for each party, scope and audience: even a token that carries everything opens nothing else."""
    opened = {name for name in WORKLOADS if POLICY.decide(caller(party), scope, REGISTRY.id(name))}

    assert opened == {audience for who, what, audience in ALLOWED if (who, what) == (party, scope)}


def cedar(policies: str = TEXT, schema: str = SCHEMA, entities: Any = None, **more: Any) -> CedarPolicy:
    """The policies, over the parties of the registry unless others are given."""
    about = party_entities(REGISTRY) if entities is None else entities
    return CedarPolicy(policies=policies, schema=schema, entities=about, **more)


@pytest.mark.parametrize(
    ("who", "action", "resource"),
    [
        (caller("nobody anyone knows"), "tool.read", Resource("Party", REGISTRY.id("tool/documents"))),
        (caller("agent/reader"), "document.erase", document()),
        (caller("agent/reader"), "document.read", Resource("Document", "D-1", (("department", "/engineering"),))),
        (caller("agent/reader"), "document.read", Resource("Document", "never heard of")),
        (caller("agent/reader"), "document.read", Resource("Secret", "D-1", (("department", "/engineering"),))),
    ],
    ids=["unknown party", "unknown action", "attributes missing", "unknown document", "unknown kind"],
)
def test_a_question_that_cannot_be_answered_is_a_no(who: Principal, action: str, resource: Resource) -> None:
    decision = POLICY.decide_on(who, action, resource)

    assert not decision
    assert decision.reason in {Reason.POLICY_ERROR, Reason.RESOURCE_DENIED}


def test_a_policy_that_errs_is_a_no_although_another_one_permits() -> None:
    errs = """
    permit (principal, action == Action::"document.read", resource) when { true };
    forbid (principal, action == Action::"document.read", resource)
    when { 9223372036854775807 + context.scopes.containsAll([]).hashCode() > 0 };
    """.replace("context.scopes.containsAll([]).hashCode()", "1")
    policy = cedar(errs)

    decision = policy.decide_on(caller("agent/reader"), "document.read", document())

    assert (decision.allowed, decision.reason) == (False, Reason.POLICY_ERROR)


parties = st.sampled_from(["walkthrough", *WORKLOADS])


def test_what_was_asked_before_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_of(support.POLICY, REGISTRY)
    first = policy.decide(caller("agent/reader"), "tool.read", REGISTRY.id("tool/documents"))
    monkeypatch.delattr("cedarpy.is_authorized")

    assert policy.decide(caller("agent/reader"), "tool.read", REGISTRY.id("tool/documents")) is first


def test_the_memory_is_bounded() -> None:
    assert policy_of(support.POLICY, REGISTRY)._memory._most == CedarPolicy.MEMORY
    policy = policy_of(support.POLICY, REGISTRY, memory=3)

    for number in range(10):
        policy.decide(caller("agent/reader", subject=f"user {number}"), "tool.read", REGISTRY.id("tool/documents"))

    assert len(policy._memory) == 3


def test_entities_are_kept_for_the_parties_of_the_registry_alone() -> None:
    policy, reader = policy_of(support.POLICY, REGISTRY), caller("agent/reader", "tool.read")

    allowed = policy.decide_on(reader, "document.read", document(state="published"))
    for number in range(10):
        stranger = dataclasses.replace(reader, party=f"stranger {number}")
        policy.decide_on(stranger, "document.read", document(state="published"))

    assert allowed
    assert [*policy._about] == [reader.party, ""]


WRONG: dict[str, tuple[str, str, list[Any]]] = {
    "unknown attribute": ("permit (principal, action, resource) when { principal.trusted };", SCHEMA, []),
    "unknown action": ('permit (principal, action == Action::"no.such", resource);', SCHEMA, []),
    "no policy": ("permit everything;", SCHEMA, []),
    "another schema": (TEXT, "entity Party;", []),
    "no schema": (TEXT, "no schema", []),
    "another party": (TEXT, SCHEMA, [{"attrs": {"may_call": "everybody"}}]),
}


@pytest.mark.parametrize(("policies", "schema", "changed"), WRONG.values(), ids=WRONG)
def test_nobody_starts_with_policies_or_parties_that_do_not_fit(policies: str, schema: str, changed: list[Any]) -> None:
    first, *others = party_entities(REGISTRY)

    with pytest.raises(PolicyError):
        cedar(policies, schema, [first | (changed[0] if changed else {}), *others])


def test_the_schema_knows_exactly_the_scopes_of_our_own_doors() -> None:
    actions = set(re.findall(r'"([a-z]+\.[a-z]+)"', SCHEMA))

    of_apis = {action for action in actions if not action.startswith("document.")}
    assert of_apis == EVERYTHING | {"party.view", "task.attack", "task.explain", "task.view"}


PERMIT = "permit(principal, action, resource) when { %s };"
DEEP = {
    "parentheses": (PERMIT % ("(" * 33 + "true" + ")" * 33), SCHEMA),
    "parentheses after others that close nothing": (")" * 33 + PERMIT % ("(" * 33 + "true" + ")" * 33), SCHEMA),
    "brackets of all kinds": (PERMIT % ("([{a: " * 11 + "1" + "}])" * 11 + " == 1"), SCHEMA),
    "parentheses that comparisons do not close": (PERMIT % ("(1 > " * 33 + "1" + ")" * 33), SCHEMA),
    "parentheses that a text does not close": (PERMIT % ('(")))" == ' * 33 + "1" + ")" * 33), SCHEMA),
    "parentheses that a comment does not close": (PERMIT % ("( // )\n" * 33 + "true" + ")" * 33), SCHEMA),
    "records": (TEXT, SCHEMA + "entity Deep { a: " + "{ a: " * 33 + "String" + " }" * 33 + " };"),
    "sets": (TEXT, SCHEMA + "entity Deep { a: " + "Set<" * 33 + "String" + ">" * 33 + " };"),
    "a schema's comment that a carriage return ends": (
        TEXT,
        SCHEMA + "//\rtype Z = " + "Set<" * 33 + "Long" + ">" * 33 + ";",
    ),
    "a path": (PERMIT % ("context has a" + " . a" * 33), SCHEMA),
}


@pytest.mark.parametrize(("policies", "schema"), DEEP.values(), ids=DEEP)
def test_policies_and_schema_can_be_nested_only_so_deep(policies: str, schema: str) -> None:
    with pytest.raises(PolicyError, match=r"^(policies|schema): (more than 32 brackets|a path of more than 32)"):
        cedar(policies, schema, [])


def test_what_is_nested_less_is_for_cedar_to_judge() -> None:
    text = TEXT + PERMIT % ("(" * 30 + '"((((((((((((((((((((((((((((((((((((" == "x"' + ")" * 30) + " // ((((((((((((("

    cedar(text, entities=[])


def test_its_rules_are_told_to_people() -> None:
    rule = '@id("any") @description("Anybody may.") permit (principal, action in [Action::"use"], resource);'
    one = rule.replace('in [Action::"use"]', '== Action::"task.view"')
    assert cedar(rule, entities=[]).rules == {"any": Rule("Anybody may.", frozenset({"use"}))}
    assert cedar(one, entities=[]).rules == {"any": Rule("Anybody may.", frozenset({"task.view"}))}
    assert cedar(PERMIT % " && ".join(["true"] * 150), entities=[]).rules.keys() == {""}


CHAINS = {
    "if, else": "if true then true else " * 2500 + "true",
    "if, if": "if " * 2500 + "true" + " then true else true" * 2500,
    "&&": "true&&" * 9500 + "true",
    "||": "true||" * 9500 + "true",
    "*": "1*" * 28000 + "1 == 1",
    "attributes as texts": "context" + '["a"]' * 11000,
    "calls": "context.scopes" + ".isEmpty()" * 5000,
    "a comment that a carriage return ends": "true //\r && " + "(" * 20000 + "true" + ")" * 20000 + "//\n",
}
READ = "import sys; from zerotrust.policy import *; CedarPolicy(policies=sys.stdin.read(), schema='', entities=[])"


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_chain_that_would_end_the_process_is_refused(chain: str) -> None:
    """In a process of its own: without the bound, that one ends by a signal."""
    text = (PERMIT % chain).encode()
    read = subprocess.run([sys.executable, "-c", READ], input=text, capture_output=True, check=False)  # noqa: S603

    assert read.returncode == 1
    assert re.search(rb"PolicyError: policies: more than (32 brackets|200 clauses)", read.stderr)


def test_a_long_policy_is_refused_and_many_short_ones_are_not() -> None:
    cedar((PERMIT % ("true" + " && true" * 190)) * 2, entities=[])

    with pytest.raises(PolicyError, match=r"^policies: more than 200 clauses"):
        cedar(PERMIT % ("true" + " && true" * 200), entities=[])


@pytest.mark.parametrize("end", ["", "\\"])
def test_a_text_that_nothing_closes_is_looked_through_once(end: str) -> None:
    """Else 64 KiB of escaped quotes take 16 s."""
    assert NO_CODE.sub("", 'permit"' + '\\"' * 100 + end) == "permit"


DOOR = REGISTRY.id("authority/registry")
DOORS = [("zt", "registry.admin", "authority/registry"), ("zt-policy", "policy.admin", "authority/policy")]


def test_a_caller_without_the_scope_in_the_token_is_told_which() -> None:
    told = POLICY.decide(caller("zt", "tool.read", groups="/operators"), "registry.admin", DOOR)

    assert told == Decision(allowed=False, reason=Reason.SCOPE_MISSING, detail="needs registry.admin")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("party", REGISTRY.parties)
def test_the_rules_by_themselves_open_no_api_without_its_scope(party: str, scope: str) -> None:
    """`decide` asks for the scope first, so here the rules are asked directly."""
    without = caller(party, " ".join(EVERYTHING - {scope}), groups="/engineering /operators")
    apis = [Resource("Party", REGISTRY.id(name)) for name in REGISTRY.parties]

    answers = {POLICY._ask(without, scope, api, permission=scope).reason for api in apis}
    assert answers == {Reason.POLICY_DENIED}


def changed_entity(client: str, door: str, **attributes: Any) -> CedarPolicy:
    """The policies over a registry in which one of these attributes is otherwise: of the client, or of the door."""
    entities = party_entities(REGISTRY)
    for entity in entities:
        known = {client: {"delegates", "may_call"}, door: {"serves"}}.get(entity["uid"]["id"], set())
        entity["attrs"] |= {key: attributes[key] for key in attributes.keys() & known}
    return cedar(entities=entities, departments=REGISTRY.departments)


@pytest.mark.parametrize(("client", "scope", "door"), DOORS)
def test_a_door_for_operators_is_open_only_as_the_registry_says(client: str, scope: str, door: str) -> None:
    operator, at = caller(client, groups="/operators"), REGISTRY.id(door)

    assert changed_entity(client, at).decide(operator, scope, at)
    for attribute in "delegates", "may_call", "serves":
        assert not changed_entity(client, at, **{attribute: []}).decide(operator, scope, at)
