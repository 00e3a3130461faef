"""Checks before an approval that registry, policies and code fit together.

Each problem is one line that names the file, the entry and what to do.
"""

from pathlib import Path

from registration.derived.addresses import port_problems
from registration.fit.code import code_problems
from registration.fit.policies import policy_problems
from registration.fit.scopes import unreachable_scopes
from zerotrust.registry.model import Registry


def problems(root: Path, registry: Registry) -> list[str]:
    """Return a line for each mistake.  Raises `MeasureError` if a party's code cannot be read."""
    found = [*unreachable_scopes(registry), *policy_problems(root, registry), *code_problems(root, registry)]
    return [*found, *port_problems(registry)]
