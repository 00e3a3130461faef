"""AuthZEN 1.0: the requests of the certification scenario, and the same answers as those of the services.

The decision point behind the scenario's table is its fixture; the API in front of it is the policy authority's.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorities.policy import decisions, pdp
from authorities.policy.authzen import LONGEST_TEXT
from authorities.policy.authzen_api import EVALUATION, EVALUATIONS
from authorities.policy.versions import Version, content_of
from tests.support.authzen_fixture import FixturePoint
from tests.support.authzen_scenario import NO, asked
from tests.support.pdp import answered
from tests.support.system import POLICIES, POLICY, registry
from zerotrust.decision import Denied, Reason, Resource
from zerotrust.identity import MAX_ACTORS
from zerotrust.runtime import policy_of


def post(path: str, told: Any, **how: str) -> Any:
    return answered(FixturePoint(), path, told if isinstance(told, bytes) else json.dumps(told).encode(), **how)


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS])
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
    assert post(path, body, content_type=content_type).startswith(why)


def test_the_content_type_may_have_a_character_set() -> None:
    assert post(EVALUATION, asked(), content_type="Application/JSON; charset=utf-8") == {"decision": True}


# --- the same answers as those of the services ------------------------------------------------------------------------

REGISTRY = registry()
ENGINE = policy_of(POLICY, REGISTRY)
POINT = pdp.ServicePoint(ENGINE, ENGINE.version)
TABLE = decisions.read_rows((POLICIES / decisions.FILE).read_text(), REGISTRY)


def as_request(row: decisions.Row) -> dict[str, Any]:
    """A row of the decision table as an enforcement point would ask it."""
    subject = {"type": "user", "id": row.who.subject, "properties": {"groups": sorted(row.who.groups)}}
    around = {"agent": row.who.party, "actors": [*row.who.actors], "scopes": sorted(row.who.scopes)}
    if isinstance(row.at, Resource):
        resource: dict[str, Any] = {"type": row.at.kind, "id": row.at.name, "properties": dict(row.at.attributes)}
    else:
        resource = {"type": "Party", "id": row.at}
    return {"subject": subject, "action": {"name": row.action}, "resource": resource, "context": around}


def ours(path: str, told: Any) -> Any:
    return answered(POINT, path, json.dumps(told).encode())


WRITERS_DRAFT = next(
    row for row in TABLE if row.action == "document.create" and row.allowed and row.who.subject == "alice"
)
WHOLE = as_request(WRITERS_DRAFT)
OF_DRAFT = WHOLE["resource"]["properties"]
LONG = "x" * (LONGEST_TEXT + 1)


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
    "a long agent": {"context": WHOLE["context"] | {"agent": LONG, "actors": []}},
    "a long actor": {"context": WHOLE["context"] | {"actors": [WHOLE["context"]["agent"], LONG]}},
    "a long scope": {"context": WHOLE["context"] | {"scopes": [*WHOLE["context"]["scopes"], LONG]}},
    "a long group": {"subject": WHOLE["subject"] | {"properties": {"groups": ["/engineering", LONG]}}},
    "a long attribute": {"resource": WHOLE["resource"] | {"properties": {**OF_DRAFT, "owner": LONG}}},
    "a long name of an attribute": {"resource": WHOLE["resource"] | {"properties": {**OF_DRAFT, LONG: ""}}},
    "too many attributes": {
        "resource": WHOLE["resource"] | {"properties": dict.fromkeys(map(str, range(pdp.MOST_PROPERTIES + 1)), "")}
    },
}


@pytest.mark.parametrize("how", NO_QUESTIONS)
def test_a_question_without_what_decides_it_is_a_no(how: str) -> None:
    assert ours(EVALUATION, WHOLE)["decision"] is True

    assert ours(EVALUATION, WHOLE | NO_QUESTIONS[how]) == NO | {"context": {"reason": "unknown_question"}}


@pytest.mark.parametrize(
    ("member", "name"),
    [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")],
)
def test_a_text_has_a_bound(member: str, name: str) -> None:
    told = WHOLE | {member: WHOLE[member] | {name: LONG}}

    why = f"{member}.{name}: String should have at most {LONGEST_TEXT} characters"
    assert post(EVALUATION, told) == why
    assert ours(EVALUATIONS, {"evaluations": [told, WHOLE]})["evaluations"][0]["decision"] is False
    assert "decision" in post(EVALUATION, WHOLE | {member: WHOLE[member] | {name: LONG[:-1]}})


def test_the_policy_authority_remembers_no_question() -> None:
    content = content_of(POLICIES)
    version = Version(number=1, digest=content.document.digest, at=0, by=None, why="", content=content)
    point = pdp.PointInForce(lambda: version, lambda: REGISTRY)

    for number in range(3):
        told = WHOLE | {"resource": WHOLE["resource"] | {"id": f"D-{number}"}}
        assert answered(point(), EVALUATION, json.dumps(told).encode())["decision"] is True

    assert len(point()._engine._memory) == 0


def test_a_version_that_does_not_fit_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for each question of whoever may ask."""
    content = content_of(POLICIES).model_copy(update={"cedar_schema": "entity Nothing;"})
    version = Version(number=1, digest=content.document.digest, at=0, by=None, why="", content=content)
    point = pdp.PointInForce(lambda: version, lambda: REGISTRY)
    parsed: list[object] = []

    def counted(*about: Any, **more: Any) -> Any:
        parsed.append(about)
        return policy_of(*about, **more)

    monkeypatch.setattr(pdp, "policy_of", counted)

    for _ in range(3):
        with pytest.raises(Denied) as denied:
            point()
        assert denied.value.reason is Reason.POLICY_UNKNOWN

    assert len(parsed) == 1


texts = st.text(max_size=6)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.sampled_from(["type", "id", "name", "properties", "agent", "scopes"]), anything, max_size=4))
def test_whatever_stands_there_it_is_answered_without_a_yes(odd: dict[str, Any]) -> None:
    for key in ("subject", "action", "resource", "context"):
        told = json.dumps(WHOLE | {key: odd}).encode()
        body = answered(POINT, EVALUATION, told)
        assert isinstance(body, str) or body["decision"] is False
