"""Reads requests of the AuthZEN Authorization API 1.0 (openid.net/specs/authorization-api-1_0.html).  Pure.

Fields that it does not know are ignored, as section 10.1.1 requires; all others are checked, and a `BadRequest` names
the first that is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zerotrust.errors import ZeroTrustError
from zerotrust.limits.strict_json import strict_object

JSON = "application/json"
MAX_EVALUATIONS = 100
"""Questions in one request.  A page that shows a user's permissions asks a screenful."""
LONGEST_TEXT = 256
"""Characters of each text that decides: identifiers, names and attributes.  They have some dozen."""
EXECUTE_ALL, DENY_FIRST, PERMIT_FIRST = "execute_all", "deny_on_first_deny", "permit_on_first_permit"
SEMANTICS = EXECUTE_ALL, DENY_FIRST, PERMIT_FIRST
REQUIRED = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
"""What each member of a question has to have."""


class BadRequest(ZeroTrustError):
    """The request is none of this API: HTTP 400, with this text as the answer."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A subject or a resource."""

    type: str
    id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """What the subject wants to do."""

    name: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One access evaluation request."""

    subject: Entity
    action: Action
    resource: Entity
    context: Mapping[str, Any]


def body_of(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.  Raises `BadRequest`."""
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise BadRequest(f"the Content-Type has to be {JSON}")
    if not body:
        raise BadRequest("the body is empty")
    try:
        return strict_object(body)
    except ValueError as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from error


def question(fields: Mapping[str, Any]) -> Question:
    """Return the question of an access evaluation request.  Raises `BadRequest`."""
    return Question(entity(fields, "subject"), action(fields), entity(fields, "resource"), context(fields))


def entity(fields: Mapping[str, Any], key: str) -> Entity:
    """Return the subject or the resource of a request.  Raises `BadRequest`."""
    found = _object(fields, key)
    return Entity(_text(found, key, "type"), _text(found, key, "id"), _properties(found, key))


def action(fields: Mapping[str, Any]) -> Action:
    """Return the action of a request.  Raises `BadRequest`."""
    found = _object(fields, "action")
    return Action(_text(found, "action", "name"), _properties(found, "action"))


def context(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the context of a request, which is optional.  Raises `BadRequest`."""
    return _object(fields, "context") if "context" in fields else {}


def questions(fields: Mapping[str, Any]) -> list[Question | BadRequest] | None:
    """Return the questions of a batch, each with the defaults of the whole request, or what is wrong with it.

    None if it is no batch: without `evaluations`, or with none of them, it is one question (section 7.1).
    Raises `BadRequest` if the request is wrong as a whole.
    """
    batch = fields.get("evaluations", [])
    if not isinstance(batch, list):
        raise BadRequest("evaluations is not an array")
    if not batch:
        return None
    if len(batch) > MAX_EVALUATIONS:
        raise BadRequest(f"evaluations has {len(batch)} elements, at most {MAX_EVALUATIONS} are answered")
    defaults = {key: _object(fields, key) for key in (*REQUIRED, "context") if key in fields}
    return [_read_evaluation(defaults, number, each) for number, each in enumerate(batch)]


def semantic(fields: Mapping[str, Any]) -> str:
    """Return how a batch is to be answered.  Raises `BadRequest`."""
    options = _object(fields, "options") if "options" in fields else {}
    if (found := options.get("evaluations_semantic", EXECUTE_ALL)) not in SEMANTICS:
        raise BadRequest(f"options.evaluations_semantic is not one of {', '.join(SEMANTICS)}")
    return str(found)


def _read_evaluation(defaults: Mapping[str, Any], number: int, each: Any) -> Question | BadRequest:
    if not isinstance(each, dict):
        return BadRequest(f"evaluations[{number}] is not an object")
    try:
        return question({**defaults, **each, **_complete(defaults, each)})
    except BadRequest as error:
        return BadRequest(f"evaluations[{number}]: {error}")


def _complete(defaults: Mapping[str, Any], each: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a question replaces of the defaults, with the names that it leaves out (scenario, 3.2.7)."""
    return {
        key: {name: defaults[key][name] for name in names if name in defaults[key]} | each[key]
        for key, names in REQUIRED.items()
        if key in defaults and isinstance(each.get(key), dict)
    }


def _object(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if key not in fields:
        raise BadRequest(f"{key} is missing")
    if not isinstance(found := fields[key], dict):
        raise BadRequest(f"{key} is not an object")
    return found


def _text(found: Mapping[str, Any], key: str, name: str) -> str:
    if name not in found:
        raise BadRequest(f"{key}.{name} is missing")
    if not isinstance(text := found[name], str):
        raise BadRequest(f"{key}.{name} is not a string")
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"{key}.{name} has {len(text)} characters, at most {LONGEST_TEXT} are taken")
    return text


def _properties(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(properties := found.get("properties", {}), dict):
        raise BadRequest(f"{key}.properties is not an object")
    return properties
