"""A decision reads what it can depend on, and answers as if it read everything."""

import json
from typing import Any

import cedarpy
import pytest

from testkit import principal
from zerotrust.decision import Reason, Resource
from zerotrust.policy import CedarPolicy, Entities

SCHEMA = """
entity Unit in [Unit] { floor?: Long };
entity Party in [Unit] { boss?: Party, may_call: Set<Party>, about?: { site: Unit } };
entity Note { owner: String };
type Call = { subject: String, delegated: Bool, scopes: Set<String>, groups: Set<String>, departments: Set<String>, one_department: Bool };
action "note.read" appliesTo { principal: Party, resource: Note, context: Call };
"""  # noqa: E501 - a schema


def entity(kind: str, name: str, *parents: str, **attributes: Any) -> dict[str, Any]:
    above = [{"type": "Unit", "id": parent} for parent in parents]
    return {"uid": {"type": kind, "id": name}, "attrs": attributes, "parents": above}


def party(name: str, *parents: str, calls: tuple[str, ...] = (), **attributes: Any) -> dict[str, Any]:
    return entity("Party", name, *parents, may_call=[to("Party", one) for one in calls], **attributes)


def to(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": {"type": kind, "id": name}}


ALL = [
    party("writer", "team", calls=("reader", "clerk"), boss=to("Party", "chief"), about={"site": to("Unit", "tower")}),
    party("chief", "board", boss={"type": "Party", "id": "owner"}),
    party("owner"),
    party("reader"),
    party("clerk"),
    entity("Unit", "team", "house"),
    entity("Unit", "house", floor=3),
    entity("Unit", "tower", floor=9),
    entity("Unit", "board"),
    entity("Unit", "elsewhere", floor=1),
]


def test_parties_that_refer_to_each_other_are_found_once() -> None:
    two = [party("a", boss=to("Party", "b")), party("b", boss=to("Party", "a"))]

    assert [one["uid"]["id"] for one in Entities(two, []).about(("Party", "a"))] == ["a", "b"]


@pytest.mark.parametrize(
    "record", [{"type": "Party"}, {"id": "b"}, {"type": "Party", "id": ["b"]}, {"type": {}, "id": "b"}]
)
def test_a_record_that_only_looks_like_an_entity_is_none(record: dict[str, Any]) -> None:
    assert len(Entities([party("a", about=record), party("b")], []).about(("Party", "a"))) == 1


def engine(condition: str) -> CedarPolicy:
    return CedarPolicy(
        policies=f'@id("it") permit (principal, action, resource) when {{ {condition} }};', schema=SCHEMA, entities=ALL
    )


DEEP = " && ".join(["true"] * 150)


@pytest.mark.parametrize(
    "condition",
    [
        'principal in Unit::"house"',
        'principal in Unit::"board"',
        "principal has boss && principal.boss has boss",
        'principal has boss && principal.boss in Unit::"board"',
        "principal has about && principal.about.site has floor && principal.about.site.floor == 9",
        'principal.may_call.contains(Party::"reader")',
        'Party::"reader" in principal.may_call',
        '!(Unit::"elsewhere" has floor)',
        'Unit::"elsewhere" has floor && Unit::"elsewhere".floor == 1',
        '!(Party::"chief" in Unit::"board")',
        "!(principal has boss)",
        f'{DEEP} && Unit::"elsewhere" has floor',
        f'{DEEP} && !(Unit::"elsewhere" has floor)',
    ],
)
@pytest.mark.parametrize("name", ["writer", "chief", "reader", "nobody"])
def test_a_decision_is_the_one_that_all_entities_give(condition: str, name: str) -> None:
    decided = engine(condition).decide_on(principal(party=name), "note.read", Resource("Note", "1", (("owner", "x"),)))

    note = {"uid": {"type": "Note", "id": "1"}, "attrs": {"owner": "x"}, "parents": []}
    context = {"subject": "alice", "delegated": False, "scopes": [], "groups": ["/team"], "departments": []}
    with_all = cedarpy.is_authorized(
        {
            "principal": {"type": "Party", "id": name},
            "action": {"type": "Action", "id": "note.read"},
            "resource": note["uid"],
            "context": context | {"one_department": False},
        },
        f"permit (principal, action, resource) when {{ {condition} }};",
        json.dumps([*ALL, note]),
        schema=SCHEMA,
    )
    assert decided.allowed == (with_all.allowed and not with_all.diagnostics.errors)


def test_nobody_but_the_registry_says_what_an_entity_of_its_is_like() -> None:
    known = CedarPolicy(
        policies="permit (principal, action, resource);",
        schema=SCHEMA,
        entities=[*ALL, entity("Note", "1", owner="bob")],
    )

    said = known.decide_on(principal(party="reader"), "note.read", Resource("Note", "1", (("owner", "alice"),)))
    assert said.reason is Reason.POLICY_ERROR
    assert known.decide_on(principal(party="reader"), "note.read", Resource("Note", "2", (("owner", "alice"),)))
    assert known.decide_on(principal(party="reader"), "note.read", Resource("Note", "1"))
