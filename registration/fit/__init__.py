"""What has to fit together before it is approved: registry, policies, code, plan, and the places where parties run.

Each problem is one line that names the file, the entry and what to do.
"""

from importlib import import_module
from pathlib import Path

from registration.fit.code import of_code
from registration.fit.deployments import of_compose, of_places
from registration.fit.policies import of_policies
from registration.fit.scopes import of_plan, unreachable
from registration.names import PLANNER
from zerotrust.registry.model import Registry


def problems(root: Path, registry: Registry) -> list[str]:
    """Return a line for each mistake.  Raises `MeasureError` if a party's code cannot be read."""
    found = [*unreachable(registry), *of_policies(root, registry), *of_code(root, registry)]
    if PLANNER in registry.parties:
        found += of_plan(import_module("orchestrator.plan").AGENTS, registry)
    return [*found, *of_places(root, registry), *of_compose(root, registry)]
