"""AuthZEN 1.0: the requests of the certification scenario as a table, and the same answers as those of the services.

The scenario: github.com/openid/authzen, certification/authorization-api-1_0-scenario.md.  The first column names its
section.  The decision point behind the table is its fixture; the API in front of it is the policy authority's.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorities.policy import decisions, pdp
from authorities.policy.authzen_api import EVALUATION, EVALUATIONS, SEARCH_ACTION, Response, metadata, respond
from authorities.policy.decisions import Row
from authorities.policy.pdp import ServicePoint
from tests.support.authzen_fixture import FixturePoint
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.decision import Resource
from zerotrust.identity import MAX_ACTORS
from zerotrust.runtime import policy_of

ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
ADMIN = BOB | {"properties": {"role": "admin"}}
READ, WRITE = {"name": "read"}, {"name": "write"}
ONE, TWO = {"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}
ACTIVE, ARCHIVED = ONE | {"properties": {"status": "active"}}, TWO | {"properties": {"status": "archived"}}
SOFT, HARD = ({"name": "delete", "properties": {"soft": soft}} for soft in (True, False))
TIME = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}


def asked(subject: Any = ALICE, action: Any = READ, resource: Any = ONE, **more: Any) -> dict[str, Any]:
    """A request without the members that are None."""
    given = {"subject": subject, "action": action, "resource": resource}
    return {key: value for key, value in given.items() if value is not None} | more


def batch(*each: Any, **defaults: Any) -> dict[str, Any]:
    return defaults | {"evaluations": [*each]}


YES, NO = {"decision": True}, {"decision": False}


def wrong(message: str) -> dict[str, Any]:
    return NO | {"context": {"error": {"status": 400, "message": message}}}


def found(*names: str) -> dict[str, Any]:
    return {"results": [{"name": name} for name in names]}


def several(*decisions: dict[str, Any]) -> dict[str, Any]:
    return {"evaluations": [*decisions]}


DENY_FIRST, PERMIT_FIRST, ALL = (
    {"evaluations_semantic": name} for name in ("deny_on_first_deny", "permit_on_first_permit", "execute_all")
)
READS = (asked(resource=ONE), asked(BOB, WRITE), asked(BOB))
"""A yes, a no, a yes."""

ANSWERED = [
    # section, path, request, answer
    ("2.2.1", EVALUATION, asked(), YES),
    ("2.2.2", EVALUATION, asked(BOB, WRITE), NO),
    ("1.4 (2)", EVALUATION, asked(action=WRITE), YES),
    ("1.4 (3)", EVALUATION, asked(BOB), YES),
    ("2.2.3", EVALUATION, asked(context=TIME), YES),
    ("2.2.3, a no", EVALUATION, asked(BOB, WRITE, context=TIME), NO),
    ("2.2.4", EVALUATION, asked(action=WRITE, resource=ARCHIVED), NO),
    ("1.4 (5), any record", EVALUATION, asked(action=WRITE, resource=ONE | {"properties": {"status": "archived"}}), NO),
    ("2.2.5", EVALUATION, asked(ADMIN, WRITE, ARCHIVED), YES),
    ("2.2.6", EVALUATION, asked(action=SOFT), YES),
    ("2.2.7", EVALUATION, asked(action=HARD), NO),
    (
        "2.2.8",
        EVALUATION,
        asked(
            ALICE | {"properties": {"department": "Sales", "role": "manager"}},
            READ | {"properties": {"method": "GET"}},
            ONE | {"properties": {"status": "active", "owner": "bob"}},
        ),
        YES,
    ),
    ("2.2.9", EVALUATION, asked(foo="bar", futureField={"nested": True}), YES),
    ("2.2.9, within", EVALUATION, asked(ALICE | {"x": 1}, READ | {"x": []}, ONE | {"x": None}), YES),
    ("unknown subject", EVALUATION, asked({"type": "user", "id": "nobody"}), NO),
    ("unknown type", EVALUATION, asked({"type": "spaceship", "id": "alice"}), NO),
    ("unknown action", EVALUATION, asked(action={"name": "erase"}), NO),
    ("3.2.1", EVALUATIONS, batch({"resource": ONE}, {"resource": TWO}, subject=ALICE, action=READ), several(YES, YES)),
    ("3.2.2", EVALUATIONS, batch({"action": READ}, {"action": WRITE}, subject=BOB, resource=ONE), several(YES, NO)),
    (
        "3.2.3",
        EVALUATIONS,
        batch({"resource": ACTIVE}, {"resource": ARCHIVED}, subject=ALICE, action=WRITE),
        several(YES, NO),
    ),
    (
        "3.2.4",
        EVALUATIONS,
        batch({"subject": ALICE}, {"subject": ADMIN}, action=WRITE, resource=ARCHIVED),
        several(NO, YES),
    ),
    ("3.2.5", EVALUATIONS, batch(asked(), asked(BOB, WRITE)), several(YES, NO)),
    (
        "3.2.6",
        EVALUATIONS,
        batch(
            {"resource": ONE},
            {"resource": TWO, "context": TIME | {"source": "batch-override"}},
            subject=ALICE,
            action=READ,
            context=TIME,
        ),
        several(YES, YES),
    ),
    ("3.2.7", EVALUATIONS, batch({}, {"resource": ARCHIVED}, **asked(action=WRITE, resource=ACTIVE)), several(YES, NO)),
    (
        "3.2.7, replaced whole",
        EVALUATIONS,
        batch({"resource": {"id": "record-2"}}, **asked()),
        several(wrong("evaluations[0]: resource.type is missing")),
    ),
    (
        "3.4.1",
        EVALUATIONS,
        batch({"resource": ONE}, {}, subject=ALICE, action=READ, options=ALL),
        several(YES, wrong("evaluations[1]: resource is missing")),
    ),
    (
        "3.4.1, no object",
        EVALUATIONS,
        batch("record-1", {"resource": ONE}, subject=ALICE, action=READ),
        several(wrong("evaluations[0] is not an object"), YES),
    ),
    ("3.4.2", EVALUATIONS, asked(), YES),
    ("3.4.3", EVALUATIONS, batch(**asked()), YES),
    ("7.1.2.1 of the API", EVALUATIONS, batch(*READS), several(YES, NO, YES)),
    ("7.1.2.1, in words", EVALUATIONS, batch(*READS, options=ALL | {"another_option": 1}), several(YES, NO, YES)),
    ("7.1.2.1, deny first", EVALUATIONS, batch(*READS, options=DENY_FIRST), several(YES, NO)),
    ("7.1.2.1, permit first", EVALUATIONS, batch(*READS, options=PERMIT_FIRST), several(YES)),
    ("7.1.2.1, no permit", EVALUATIONS, batch(READS[1], READS[1], options=PERMIT_FIRST), several(NO, NO)),
    ("7.1.2.1, no denial", EVALUATIONS, batch(READS[0], READS[2], options=DENY_FIRST), several(YES, YES)),
    (
        "7.1.2.1, a failure denies",
        EVALUATIONS,
        batch({}, READS[0], options=DENY_FIRST),
        several(wrong("evaluations[0]: subject is missing")),
    ),
    (
        "7.1.2.1, a failure permits nothing",
        EVALUATIONS,
        batch({}, READS[0], options=PERMIT_FIRST),
        several(wrong("evaluations[0]: subject is missing"), YES),
    ),
    ("4.4.1", SEARCH_ACTION, asked(action=None), found("read", "write")),
    ("4.4.2", SEARCH_ACTION, asked(action=None, context=TIME), found("read", "write")),
    ("4.4.3", SEARCH_ACTION, asked(ADMIN, None, ARCHIVED), found("read", "write")),
    ("4.4, bob", SEARCH_ACTION, asked(BOB, None), found("read")),
    ("4.4, an action is ignored", SEARCH_ACTION, asked(action="read"), found("read", "write")),
    ("4.5.1", SEARCH_ACTION, asked(action=None, page={"limit": 1}), found("read", "write")),
    ("4.5.4", SEARCH_ACTION, asked(action=None, page={"token": "a3M9"}), found("read", "write")),
    ("4.6.1", SEARCH_ACTION, asked({"type": "user", "id": "nonexistent-user"}, None), found()),
    ("4.6.2", SEARCH_ACTION, asked({"type": "spaceship", "id": "alice"}, None), found()),
    ("4.6.2, resource", SEARCH_ACTION, asked(action=None, resource={"type": "planet", "id": "x"}), found()),
]

REFUSED = [
    # section, path, request, message
    ("2.4.1", EVALUATION, asked(subject=None), "subject is missing"),
    ("2.4.1", EVALUATION, asked(action=None), "action is missing"),
    ("2.4.1", EVALUATION, asked(resource=None), "resource is missing"),
    ("2.4.2", EVALUATION, asked({"id": "alice"}), "subject.type is missing"),
    ("2.4.2", EVALUATION, asked({"type": "user"}), "subject.id is missing"),
    ("2.4.2", EVALUATION, asked(action={}), "action.name is missing"),
    ("2.4.2", EVALUATION, asked(resource={"id": "record-1"}), "resource.type is missing"),
    ("2.4.2", EVALUATION, asked(resource={"type": "record"}), "resource.id is missing"),
    ("2.4.6", EVALUATION, asked("alice"), "subject is not an object"),
    ("2.4.6", EVALUATION, asked(action={"name": 123}), "action.name is not a string"),
    ("2.4.6", EVALUATION, asked({"type": "user", "id": None}), "subject.id is not a string"),
    ("2.4.6", EVALUATION, asked(ALICE | {"properties": []}), "subject.properties is not an object"),
    ("2.4.6", EVALUATION, asked(action=READ | {"properties": "GET"}), "action.properties is not an object"),
    ("2.4.6", EVALUATION, asked(resource=ONE | {"properties": None}), "resource.properties is not an object"),
    ("2.4.6", EVALUATION, asked(context="now"), "context is not an object"),
    ("3.4", EVALUATIONS, asked(subject=None), "subject is missing"),
    ("3.4", EVALUATIONS, batch(), "subject is missing"),
    ("3.4", EVALUATIONS, asked(evaluations={}), "evaluations is not an array"),
    ("3.4", EVALUATIONS, batch({}, **asked("alice")), "subject is not an object"),
    ("3.4", EVALUATIONS, batch({"action": READ}, **asked(action={})), "action.name is missing"),
    ("3.4", EVALUATIONS, batch({}, **asked(context=[])), "context is not an object"),
    ("3.4", EVALUATIONS, batch({}, **asked(options="all")), "options is not an object"),
    (
        "3.4",
        EVALUATIONS,
        batch({}, **asked(options={"evaluations_semantic": "first"})),
        "options.evaluations_semantic is not one of execute_all, deny_on_first_deny, permit_on_first_permit",
    ),
    (
        "3.4",
        EVALUATIONS,
        batch(*[{}] * 101, **asked()),
        "evaluations has 101 elements, at most 100 are answered",
    ),
    ("4.7.1", SEARCH_ACTION, asked(resource=None), "resource is missing"),
    ("4.7.1", SEARCH_ACTION, asked(subject=None), "subject is missing"),
    ("4.7.2", SEARCH_ACTION, asked({"type": "user"}, None), "subject.id is missing"),
    ("4.7.2", SEARCH_ACTION, asked(action=None, resource={"type": "record"}), "resource.id is missing"),
    ("4.7", SEARCH_ACTION, asked(action=None, page=1), "page is not an object"),
    ("4.7", SEARCH_ACTION, asked(action=None, context=1), "context is not an object"),
]


def post(path: str, told: Any, **how: Any) -> Response:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return respond(FixturePoint(), path, body, **({"content_type": "application/json"} | how))


@pytest.mark.parametrize(("section", "path", "told", "answer"), ANSWERED, ids=[row[0] for row in ANSWERED])
def test_a_request_of_the_scenario_is_answered(section: str, path: str, told: Any, answer: dict[str, Any]) -> None:
    assert post(path, told) == Response(200, answer, {}), section
    assert post(path, told) == post(path, told), "2.6: the same again"


@pytest.mark.parametrize(("section", "path", "told", "why"), REFUSED, ids=[f"{row[0]} {row[3]}" for row in REFUSED])
def test_a_request_that_is_none_is_told_why(section: str, path: str, told: Any, why: str) -> None:
    assert post(path, told) == Response(400, why, {}), section


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS, SEARCH_ACTION])
@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"{}", "text/plain", "the Content-Type has to be application/json"),
        (b"{}", "", "the Content-Type has to be application/json"),
        (b"{}", "application/json-seq", "the Content-Type has to be application/json"),
        (b"", "application/json", "the body is empty"),
        (b"{", "application/json", "the body is not a JSON object: "),
        (b"[]", "application/json", "the body is not a JSON object: "),
        (b'{"subject": 1, "subject": 2}', "application/json", "the body is not a JSON object: a name occurs twice"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(path: str, body: bytes, content_type: str, why: str) -> None:
    """Sections 2.4.3 to 2.4.5 of the scenario."""
    status, said, _ = post(path, body, content_type=content_type)

    assert status == 400
    assert str(said).startswith(why)


def test_the_content_type_may_have_a_character_set() -> None:
    assert post(EVALUATION, asked(), content_type="Application/JSON; charset=utf-8").status == 200


@pytest.mark.parametrize("told", [asked(), asked(subject=None)])
def test_the_callers_id_of_a_request_comes_back(told: Any) -> None:
    """Section 2.5 of the scenario; also with a refusal."""
    assert post(EVALUATION, told, request_id="bfe9eb29").headers == {"X-Request-ID": "bfe9eb29"}
    assert post(EVALUATION, told).headers == {}


def test_there_are_no_other_endpoints() -> None:
    assert post("/access/v1/search/subject", asked()).status == 404


def test_the_metadata_name_what_is_offered() -> None:
    """Section 6 of the scenario."""
    assert metadata("https://pdp.example") == {
        "policy_decision_point": "https://pdp.example",
        "access_evaluation_endpoint": "https://pdp.example/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.example/access/v1/evaluations",
        "search_action_endpoint": "https://pdp.example/access/v1/search/action",
    }


# --- the same answers as those of the services ------------------------------------------------------------------------

REGISTRY = registry()
ENGINE = policy_of(POLICY, REGISTRY)
POINT = ServicePoint(ENGINE, POLICY, REGISTRY)
TABLE = decisions.rows((POLICIES / decisions.FILE).read_text(), REGISTRY)


def as_request(row: Row) -> dict[str, Any]:
    """A row of the decision table as an enforcement point would ask it."""
    subject = {"type": "user", "id": row.who.subject, "properties": {"groups": sorted(row.who.groups)}}
    around = {"agent": row.who.party, "actors": [*row.who.actors], "scopes": sorted(row.who.scopes)}
    if isinstance(row.at, Resource):
        resource: dict[str, Any] = {"type": row.at.kind, "id": row.at.name, "properties": dict(row.at.attributes)}
    else:
        resource = {"type": "Party", "id": row.at}
    return {"subject": subject, "action": {"name": row.action}, "resource": resource, "context": around}


def ours(path: str, told: Any) -> Any:
    status, body, _ = respond(POINT, path, json.dumps(told).encode(), content_type="application/json")
    assert status == 200
    return body


def test_the_decision_table_is_answered_as_by_the_services() -> None:
    for row in TABLE:
        said, decided = ours(EVALUATION, as_request(row)), row.ask(ENGINE)
        rules = {"rules": [*decided.rules]} if decided else {}
        assert said == {
            "decision": row.allowed,
            "context": {"reason": str(decided.reason), "policy": ENGINE.version} | rules,
        }, row


def test_it_is_answered_in_batches_as_well() -> None:
    for first in range(0, len(TABLE), 100):
        rows = TABLE[first : first + 100]
        said = ours(EVALUATIONS, {"evaluations": [as_request(row) for row in rows]})["evaluations"]
        assert [one["decision"] for one in said] == [row.allowed for row in rows]


WRITERS_DRAFT = next(
    row for row in TABLE if row.action == "document.create" and row.allowed and row.who.subject == "alice"
)
WHOLE = as_request(WRITERS_DRAFT)


def test_what_the_writer_may_do_is_a_list() -> None:
    tool = {"type": "Party", "id": REGISTRY.id("tool/documents")}

    assert ours(SEARCH_ACTION, WHOLE) == found("document.create", "document.delete", "document.replace")
    assert ours(SEARCH_ACTION, WHOLE | {"resource": tool}) == found("tool.write")
    assert ours(SEARCH_ACTION, WHOLE | {"subject": {"type": "user", "id": "eve"}}) == found()


NO_QUESTIONS = {
    "subject of another type": {"subject": WHOLE["subject"] | {"type": "service"}},
    "no agent": {"context": {key: value for key, value in WHOLE["context"].items() if key != "agent"}},
    "an agent that is no text": {"context": WHOLE["context"] | {"agent": 7}},
    "another current actor": {"context": WHOLE["context"] | {"actors": [REGISTRY.id("orchestrator")]}},
    "actors that are no list": {"context": WHOLE["context"] | {"actors": "x"}},
    "too many actors": {"context": WHOLE["context"] | {"actors": [WHOLE["context"]["agent"]] * (MAX_ACTORS + 1)}},
    "scopes that are no list": {"context": WHOLE["context"] | {"scopes": "tool.write"}},
    "a scope that is no text": {"context": WHOLE["context"] | {"scopes": ["tool.write", 1]}},
    "too many scopes": {"context": WHOLE["context"] | {"scopes": ["tool.write"] * (pdp.MOST_NAMES + 1)}},
    "groups that are no list": {"subject": WHOLE["subject"] | {"properties": {"groups": {"/engineering": 1}}}},
    "an attribute that is no text": {"resource": WHOLE["resource"] | {"properties": {"department": ["/engineering"]}}},
}


@pytest.mark.parametrize("how", NO_QUESTIONS)
def test_a_question_without_what_decides_it_is_a_no(how: str) -> None:
    assert ours(EVALUATION, WHOLE)["decision"] is True

    assert ours(EVALUATION, WHOLE | NO_QUESTIONS[how]) == NO | {"context": {"reason": "unknown_question"}}


@pytest.mark.parametrize("kind", ["", "Secret", "Action", "a b", 'Document::"x"', "Document"])
def test_a_resource_that_no_policy_knows_is_a_no(kind: str) -> None:
    asked_of = WHOLE | {"resource": {"type": kind, "id": "x"}}

    assert ours(EVALUATION, asked_of)["decision"] is False


texts = st.text(max_size=6)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.sampled_from(["type", "id", "name", "properties", "agent", "scopes"]), anything, max_size=4))
def test_whatever_stands_there_it_is_answered_without_a_yes(odd: dict[str, Any]) -> None:
    for key in ("subject", "action", "resource", "context"):
        told = json.dumps(WHOLE | {key: odd}).encode()
        status, body, _ = respond(POINT, EVALUATION, told, content_type="application/json")
        assert status in {200, 400}
        assert isinstance(body, str) or body["decision"] is False
