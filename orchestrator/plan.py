"""Plans which agents a request needs, without a model.  Pure.

A plan lists the calls, each with agent, scopes and instruction, and can be read before any of them is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from zerotrust.adapters.model_choice import DEFAULT_MODEL
from zerotrust.registry.model import Department, Registry

FILING = frozenset({"file", "filed", "save", "saved", "write", "written", "store", "stored"})
"""Words by which a user asks to store the result."""
DELETING = frozenset({"delete", "remove"})
"""First words by which a user asks to delete drafts; nothing is read for that."""
INVOKE = "agent.invoke"
"""The scope that calls an agent."""


class Task(BaseModel):
    """A user's task."""

    model_config = ConfigDict(extra="forbid")  # a misspelt `department` is no task without one

    request: Annotated[str, Field(min_length=1, max_length=10_000)]
    department: Department | None = None
    """The task's department.  A user who belongs to several has to name one: no task works in two."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model for a plan."""

    model: str = DEFAULT_MODEL
    because: str = ""
    """Why this model, for the reader of the plan."""


class Step(BaseModel):
    """One call to one agent, with exactly the scopes of its token."""

    agent: str
    scopes: tuple[str, ...]
    department: str
    """The one group of the user that its token names: this call reads and files in this department only."""
    instruction: str
    model: str = DEFAULT_MODEL
    """The model that its agent asks for."""
    model_because: str = ""
    """Why this model."""


class Plan(BaseModel):
    """A plan as it is shown."""

    steps: list[Step]
    receipts: str = ""
    """The place for the receipts: an answer of a party that makes calls has one (`docs/reference/receipts.md`)."""


def agents_of(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Return each agent that a plan may have, and the scopes of its token: `agent.invoke`, and what it may delegate."""
    served, callees = registry.scopes[INVOKE].served_by, registry.parties["orchestrator"].may_call
    return {name: (INVOKE, *registry.parties[name].delegates) for name in callees if name in served}


def make_plan(request: str, department: str, agents: Mapping[str, tuple[str, ...]]) -> list[Step]:
    """Return the plan for a request: read, and write only if the user asked to store something, in one department.

    A request that begins with the name of an agent and a colon has one step, which is that agent's.  A request to
    delete drafts has one step, which only writes.  `agents`: as `agents_of` returns them.
    """

    def step(agent: str, instruction: str) -> Step:
        return Step(agent=agent, scopes=agents.get(agent, (INVOKE,)), department=department, instruction=instruction)

    name, _, instruction = request.partition(":")
    name, instruction = name.strip().lower(), instruction.strip()
    if instruction and f"agent/{name}" in agents:
        return [step(f"agent/{name}", instruction)]
    words = [word.strip(".,;:!?").lower() for word in request.split()]
    if words[:1] and words[0] in DELETING:
        return [step("agent/writer", request)]
    reading = step("agent/reader", request)
    return [reading, step("agent/writer", "File this as a new document:")] if FILING & set(words) else [reading]


def with_model(plan: list[Step], chosen: Choice) -> list[Step]:
    """Return the same plan, with a model for every step."""
    return [step.model_copy(update={"model": chosen.model, "model_because": chosen.because}) for step in plan]
