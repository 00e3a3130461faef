"""What docs/how-to/library.md says to type."""

from typing import Any

import yaml

from tests.support.system import POLICY, ROOT
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of

PAGE = (ROOT / "docs" / "how-to" / "library.md").read_text()


def block(language: str, heading: str) -> str:
    """The first block in that language under a heading."""
    return PAGE[PAGE.index(f"## {heading}\n") :].partition(f"```{language}\n")[2].partition("```")[0]


def merged(here: Any, there: Any) -> Any:
    """One document over the other."""
    if not isinstance(here, dict) or not isinstance(there, dict):
        return there
    return here | {key: merged(here.get(key), value) for key, value in there.items()}


def registered() -> tuple[Registry, CedarPolicy]:
    """The registry and the policies with the page's changes."""
    committed = yaml.safe_load((ROOT / "registry.yaml").read_text())
    registry = Registry.model_validate(merged(committed, yaml.safe_load(block("yaml", "Registration"))))
    schema = POLICY.cedar_schema.replace('"model.read"', '"model.read", "quote.read"')
    return registry, policy_of(POLICY.model_copy(update={"cedar_schema": schema}), registry)
