"""Reads requests of the AuthZEN Authorization API 1.0 (openid.net/specs/authorization-api-1_0.html).  Pure.

Fields that it does not know are ignored, as section 10.1.1 requires; all others are checked, and a `BadRequest` names
the first that is wrong.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotrust.errors import ZeroTrustError
from zerotrust.limits.strict_json import strict_object

JSON = "application/json"
MAX_EVALUATIONS = 100
"""Questions in one request.  A page that shows a user's permissions asks a screenful."""
LONGEST_TEXT = 256
"""Characters of each text that decides: identifiers, names and attributes.  They have some dozen."""
REQUIRED = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
"""The form of each member of a question."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Fields = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)


class BadRequest(ZeroTrustError):
    """The request is none of this API: HTTP 400, with this text as the answer."""


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Entity(_Shape):
    """A subject or a resource."""

    type: Text
    id: Text
    properties: Fields = {}


class Action(_Shape):
    """The action that the subject wants."""

    name: Text
    properties: Fields = {}


class Question(_Shape):
    """One access evaluation request."""

    subject: Entity
    action: Action
    resource: Entity
    context: Fields = {}


class Options(_Shape):
    """How a batch is to be answered (section 7.1.2.1)."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class Batch(_Shape):
    """Several questions, with the defaults of all.  Without `evaluations`, it is one question (section 7.1)."""

    evaluations: Annotated[list[Any], Field(max_length=MAX_EVALUATIONS)] = []
    options: Options = Options()
    subject: Fields = {}
    action: Fields = {}
    resource: Fields = {}
    context: Fields = {}

    def questions(self) -> Iterator[Question | BadRequest]:
        """Yield the questions, each with the defaults, or what is wrong with it."""
        defaults = {key: getattr(self, key) for key in (*REQUIRED, "context") if key in self.model_fields_set}
        for number, each in enumerate(self.evaluations):
            fields = {**defaults, **each, **_complete(defaults, each)} if isinstance(each, dict) else each
            try:
                yield parse(Question, fields)
            except BadRequest as error:
                yield BadRequest(f"evaluations[{number}]: {error}")


def parse_body(content_type: str, body: bytes) -> Fields:
    """Return the JSON object of a request.  Raises `BadRequest`."""
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise BadRequest(f"the Content-Type has to be {JSON}")
    if not body:
        raise BadRequest("the body is empty")
    try:
        return strict_object(body)
    except ValueError as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from error


def parse(kind: type[Model], fields: Fields) -> Model:
    """Return a question or a batch.  Raises `BadRequest`."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadRequest(": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))) from error


def _complete(defaults: Mapping[str, Fields], each: Fields) -> Fields:
    """Return what a question replaces of the defaults, with the names that it leaves out (scenario, 3.2.7)."""
    return {
        key: {name: defaults[key][name] for name in names if name in defaults[key]} | each[key]
        for key, names in REQUIRED.items()
        if key in defaults and isinstance(each.get(key), dict)
    }
