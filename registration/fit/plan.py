"""Whether the registry allows each step that the orchestrator's plan can have.  Pure."""

from collections.abc import Mapping

from registration.names import PLAN, PLANNER
from zerotrust.registry.lock import REGISTRY
from zerotrust.registry.model import Registry


def of_plan(agents: Mapping[str, tuple[str, ...]], registry: Registry) -> list[str]:
    """Return the steps that the orchestrator's plan has, and that the registry does not allow."""
    found, planner = [], registry.parties[PLANNER]
    for agent, scopes in agents.items():
        if agent not in registry.parties:
            found.append(f"{PLAN}: AGENTS has {agent!r}, which is not registered: add it under `parties` in {REGISTRY}")
            continue
        if agent not in planner.may_call:
            found.append(f"{PLAN}: AGENTS has {agent!r}: add that to parties.{PLANNER}.may_call in {REGISTRY}")
        for scope in scopes:
            if scope not in registry.scopes:
                found.append(f"{PLAN}: AGENTS: {agent!r} gets {scope!r}: add that under `scopes` in {REGISTRY}")
            elif scope not in planner.delegates:
                found.append(
                    f"{PLAN}: AGENTS: {agent!r} gets {scope!r}: add that to parties.{PLANNER}.delegates in {REGISTRY}"
                )
            elif scope not in registry.parties[agent].delegates and scope not in registry.scopes_at(agent):
                found.append(
                    f"{PLAN}: AGENTS: {agent!r} gets {scope!r}, and can neither serve nor delegate it: "
                    f"remove it there, or add it to parties.{agent}.delegates in {REGISTRY}"
                )
    return found
