"""The routes for operators: they list, test, activate and roll back versions, and ask why a call was refused."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field, field_validator

from authorities.policy.activation import PolicyActivation
from authorities.policy.inquiries import Inquiries, get_version
from authorities.policy.questions import MOST_ASKED, MOST_VERSIONS, Asked, VersionName
from authorities.policy.startup import target_of
from authorities.policy.versions import Content, Version, Why
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Action, RegistryChange
from zerotrust.audit.forms import Text, sanitize
from zerotrust.context import current_principal
from zerotrust.routes import MAX_MESSAGE, Routes, Scope

MAX_CONTENT = 1 << 20
"""Bytes of a body with policies: their texts have at most 0.4 MB, and JSON escapes some of it."""
MOST_RECORDED = 20
"""Changed rules and answers that go on record; the rules are the first."""
ACTIVATE = Scope("policy.admin", "policy.activate")
CONTENT = Scope("policy.admin", "policy.activate", max_body=MAX_CONTENT)
ROUTES: Routes = {
    ("GET", "/versions"): ACTIVATE,
    ("GET", "/versions/{number}"): ACTIVATE,
    ("POST", "/versions"): CONTENT,
    ("POST", "/versions/test"): CONTENT,
    ("POST", "/versions/rollback"): ACTIVATE,
    ("POST", "/explanations"): Scope("policy.admin", max_body=MAX_MESSAGE),
}

Number = Annotated[int, Field(ge=1, le=999_999_999)]
InPath = Annotated[int, Path(ge=1, le=999_999_999)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Change(_Shape):
    why: Why
    after: Number | None = None
    """The version that it was compared with."""


class Activation(_Change):
    """A content to activate."""

    content: Content


class Rollback(_Change):
    """An older version to go back to."""

    version: Number


class Questions(_Shape):
    """The refusals to explain."""

    refused: Annotated[list[Asked], Field(max_length=MOST_ASKED)] = []
    versions: Annotated[list[VersionName], Field(max_length=MOST_VERSIONS)] = []
    """Versions whose rules' sentences are asked for."""

    @field_validator("refused")
    @classmethod
    def _of_few_versions(cls, refused: list[Asked]) -> list[Asked]:
        if (number := len({one.policy for one in refused})) > MOST_VERSIONS:
            raise ValueError(f"decisions of {number} versions, and one request may have those of {MOST_VERSIONS}")
        return refused


def add_operator_routes(app: FastAPI, office: PolicyActivation, inquiries: Inquiries) -> None:
    """Add the routes in `ROUTES`."""

    @app.get("/versions")
    async def list_versions() -> dict[str, Any]:
        return {
            "active": inquiries.versions.active.number,
            "versions": [one.model_dump(exclude={"content"}) for one in inquiries.versions.all()],
        }

    @app.get("/versions/{number}")
    async def show_version(number: InPath) -> dict[str, Any]:
        return get_version(inquiries.versions, number).model_dump()

    @app.post("/versions/test")
    async def test(content: Content) -> dict[str, Any]:
        return await office.test(content)

    @app.post("/versions")
    async def activate(asked: Activation) -> dict[str, Any]:
        by = current_principal().subject
        version = await office.activate(asked.content, by=by, why=asked.why, after=asked.after)
        return version.model_dump(exclude={"content"})

    @app.post("/versions/rollback")
    async def rollback(asked: Rollback) -> dict[str, Any]:
        by = current_principal().subject
        version = await office.rollback(asked.version, by=by, why=asked.why, after=asked.after)
        return version.model_dump(exclude={"content"})

    @app.post("/explanations")
    async def explain(asked: Questions) -> dict[str, Any]:
        return {
            "explanations": await inquiries.explain(asked.refused),
            "sentences": {name: await inquiries.sentences(name) for name in asked.versions},
        }


def changes(version: Version, differing: Mapping[str, Any] | None) -> Iterator[RegistryChange]:
    """Yield an event for each rule and answer that changes, then that the current operator puts the version into force.

    `differing`: what `differences.describe` returns; None: the version is in force, and nobody changes anything.
    """
    if differing is None:
        yield RegistryChange(action="in_force", target=target_of(version))
        return
    operator = Caller.of(current_principal())  # first: nothing is on record of a call that has ended
    action: Action = "rollback" if version.of else "activate"
    told = [(f"rule {one['id']}", one) for one in differing["rules"]]
    told += [("{user}, through {through}: {does} {at}".format(**one), one) for one in differing["answers"] or ()]
    for what, one in told[:MOST_RECORDED]:
        cause = Text(f"{sanitize(one['before'])} -> {sanitize(one['after'])}")
        yield RegistryChange(action=action, target=sanitize(f"policy {version.number} {what}"), cause=cause)
    yield RegistryChange(action=action, target=target_of(version), cause=sanitize(version.why), principal=operator)
