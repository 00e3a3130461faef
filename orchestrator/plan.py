"""Which agents a request needs, found without a model.  Pure.

A plan is what will be asked of whom, with which scopes: all of it can be read before any of it is done.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from zerotrust.registry.model import Department

FILING = frozenset({"file", "filed", "save", "saved", "write", "written", "store", "stored"})
"""Words by which a user asks for the result to be kept."""
DELETING = frozenset({"delete", "remove"})
"""The first words by which a user asks for drafts to be deleted; nothing is read for that."""


class Task(BaseModel):
    """What a user wants done."""

    request: Annotated[str, Field(min_length=1, max_length=10_000)]
    department: Department | None = None
    """The department that it is about.  Who belongs to several has to name one: no task works in two."""


class Step(BaseModel):
    """One call to one agent, with the scopes its token will carry and nothing besides."""

    agent: str
    scopes: tuple[str, ...]
    department: str
    """The one group of the user that its token will name: what this call may read, and where it may file."""
    instruction: str


def make_plan(request: str, department: str) -> list[Step]:
    """Read always; write only where the user asked for something to be kept.  All of it in one department.

    What is to be deleted is not read before.
    """

    def writing(instruction: str) -> Step:
        scopes = ("agent.invoke", "tool.write", "inference.run")
        return Step(agent="agent/writer", scopes=scopes, department=department, instruction=instruction)

    words = [word.strip(".,;:!?").lower() for word in request.split()]
    if words[:1] and words[0] in DELETING:
        return [writing(request)]
    scopes = ("agent.invoke", "tool.read", "inference.run")
    reading = Step(agent="agent/reader", scopes=scopes, department=department, instruction=request)
    return [reading, writing("File this as a new document:")] if FILING & set(words) else [reading]
