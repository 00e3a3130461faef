"""AuthZEN's certification scenario as a table: about 90 requests, and what has to come back.

github.com/openid/authzen, certification/authorization-api-1_0-scenario.md, as of August 2026.  The first column names
its section; 7.1.2.1 is one of the API's own specification.  Its level Search is not claimed, and not asked for.
"""

from typing import Any

from authorities.policy.authzen_api import EVALUATION, EVALUATIONS

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
        "3.2.7, type and id",
        EVALUATIONS,
        batch(
            {"resource": {"id": "record-1", "properties": {"status": "active"}}},
            {"resource": ARCHIVED},
            **asked(action=WRITE, resource={"type": "record"}),
        ),
        several(YES, NO),
    ),
    (
        "3.2.7, no properties",
        EVALUATIONS,
        batch({"resource": {"id": "record-2"}}, **asked(action=WRITE, resource=ACTIVE)),
        several(NO),
    ),
    (
        "3.2.7, a wrong type is not replaced",
        EVALUATIONS,
        batch({"resource": {"type": None}}, **asked()),
        several(wrong("evaluations[0]: resource.type: Input should be a valid string")),
    ),
    ("3.2.7, a name", EVALUATIONS, batch({"action": {}}, {"action": READ}, **asked(action=READ)), several(YES, YES)),
    (
        "3.4.1, a default without a name",
        EVALUATIONS,
        batch({}, {"action": READ}, **asked(action={})),
        several(wrong("evaluations[0]: action.name: Field required"), YES),
    ),
    (
        "3.4.1",
        EVALUATIONS,
        batch({"resource": ONE}, {}, subject=ALICE, action=READ, options=ALL),
        several(YES, wrong("evaluations[1]: resource: Field required")),
    ),
    (
        "3.4.1, no object",
        EVALUATIONS,
        batch("record-1", {"resource": ONE}, subject=ALICE, action=READ),
        several(wrong("evaluations[0]: Input should be a valid dictionary or instance of Question"), YES),
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
        several(wrong("evaluations[0]: subject: Field required")),
    ),
    (
        "7.1.2.1, a failure permits nothing",
        EVALUATIONS,
        batch({}, READS[0], options=PERMIT_FIRST),
        several(wrong("evaluations[0]: subject: Field required"), YES),
    ),
]

REFUSED = [
    # section, path, request, message
    ("2.4.1", EVALUATION, asked(subject=None), "subject: Field required"),
    ("2.4.1", EVALUATION, asked(action=None), "action: Field required"),
    ("2.4.1", EVALUATION, asked(resource=None), "resource: Field required"),
    ("2.4.2", EVALUATION, asked({"id": "alice"}), "subject.type: Field required"),
    ("2.4.2", EVALUATION, asked({"type": "user"}), "subject.id: Field required"),
    ("2.4.2", EVALUATION, asked(action={}), "action.name: Field required"),
    ("2.4.2", EVALUATION, asked(resource={"id": "record-1"}), "resource.type: Field required"),
    ("2.4.2", EVALUATION, asked(resource={"type": "record"}), "resource.id: Field required"),
    ("2.4.6", EVALUATION, asked("alice"), "subject: Input should be a valid dictionary or instance of Entity"),
    ("2.4.6", EVALUATION, asked(action={"name": 123}), "action.name: Input should be a valid string"),
    ("2.4.6", EVALUATION, asked({"type": "user", "id": None}), "subject.id: Input should be a valid string"),
    ("2.4.6", EVALUATION, asked(ALICE | {"properties": []}), "subject.properties: Input should be a valid dictionary"),
    (
        "2.4.6",
        EVALUATION,
        asked(action=READ | {"properties": "GET"}),
        "action.properties: Input should be a valid dictionary",
    ),
    (
        "2.4.6",
        EVALUATION,
        asked(resource=ONE | {"properties": None}),
        "resource.properties: Input should be a valid dictionary",
    ),
    ("2.4.6", EVALUATION, asked(context="now"), "context: Input should be a valid dictionary"),
    ("3.4", EVALUATIONS, asked(subject=None), "subject: Field required"),
    ("3.4", EVALUATIONS, batch(), "subject: Field required"),
    ("3.4", EVALUATIONS, asked(evaluations={}), "evaluations: Input should be a valid list"),
    ("3.4", EVALUATIONS, batch({}, **asked("alice")), "subject: Input should be a valid dictionary"),
    ("3.4", EVALUATIONS, batch({}, **asked(context=[])), "context: Input should be a valid dictionary"),
    (
        "3.4",
        EVALUATIONS,
        batch({}, **asked(options="all")),
        "options: Input should be a valid dictionary or instance of Options",
    ),
    (
        "3.4",
        EVALUATIONS,
        batch({}, **asked(options={"evaluations_semantic": "first"})),
        "options.evaluations_semantic: Input should be 'execute_all', 'deny_on_first_deny' or 'permit_on_first_permit'",
    ),
    (
        "3.4",
        EVALUATIONS,
        batch(*[{}] * 101, **asked()),
        "evaluations: List should have at most 100 items after validation, not 101",
    ),
]
