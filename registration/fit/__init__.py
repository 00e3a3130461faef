"""Checks before an approval that registry, policies, code, plan, and the places where parties run fit together.

Each problem is one line that names the file, the entry and what to do.
"""

from importlib import import_module
from pathlib import Path

from registration.fit.code import code_problems
from registration.fit.deployments import compose_problems, place_problems
from registration.fit.policies import policy_problems
from registration.fit.scopes import plan_problems, unreachable_scopes
from registration.names import PLANNER
from zerotrust.registry.model import Registry


def problems(root: Path, registry: Registry) -> list[str]:
    """Return a line for each mistake.  Raises `MeasureError` if a party's code cannot be read."""
    found = [*unreachable_scopes(registry), *policy_problems(root, registry), *code_problems(root, registry)]
    if PLANNER in registry.parties:
        found += plan_problems(import_module("orchestrator.plan").AGENTS, registry)
    return [*found, *place_problems(root, registry), *compose_problems(root, registry)]
