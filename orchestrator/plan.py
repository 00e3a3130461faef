"""Which agents a request needs, found without a model.  Pure.

A plan is what will be asked of whom, with which scopes: all of it can be read before any of it is done.
"""

from pydantic import BaseModel

FILING = frozenset({"file", "filed", "save", "saved", "write", "written", "store", "stored"})
"""Words by which a user asks for the result to be kept."""


class Step(BaseModel):
    """One call to one agent, with the scopes its token will carry and nothing besides."""

    agent: str
    scopes: tuple[str, ...]
    department: str
    """The one group of the user that its token will name: what this call may read, and where it may file."""
    instruction: str


def make_plan(request: str, department: str) -> list[Step]:
    """Read always; write only where the user asked for something to be kept.  All of it in one department."""
    steps = [
        Step(
            agent="agent/reader",
            scopes=("agent.invoke", "tool.read", "inference.run"),
            department=department,
            instruction=request,
        )
    ]
    if FILING & {word.strip(".,;:!?").lower() for word in request.split()}:
        steps.append(
            Step(
                agent="agent/writer",
                scopes=("agent.invoke", "tool.write", "inference.run"),
                department=department,
                instruction="File this as a new document:",
            )
        )
    return steps
