"""Answers what operators ask about kept versions: their contents, and why a call was refused.

Nothing here changes anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from authorities.policy.explain import Explanations
from authorities.policy.questions import Asked
from authorities.policy.reasons import PolicyReason
from authorities.policy.rules import rules_of
from authorities.policy.versions import Version, Versions
from zerotrust.decision import Denied
from zerotrust.policy import PolicyError
from zerotrust.registry.model import Registry


class Inquiries:
    """Answers from the versions that are kept."""

    def __init__(self, versions: Versions, registry: Callable[[], Registry]) -> None:
        self.versions, self._registry, self._turn = versions, registry, asyncio.Lock()

    async def explain(self, asked: Sequence[Asked]) -> list[dict[str, Any] | None]:
        """Explain refusals, each by the version that decided; None where that is not kept, or fits no longer.

        One version after the other, and one request after the other: each takes megabytes, and a second at worst.
        """
        found = dict[int, dict[str, Any] | None]()
        async with self._turn:
            for name in dict.fromkeys(one.policy for one in asked):
                version = self._version_named(name)
                those = [(place, one) for place, one in enumerate(asked) if one.policy == name]
                explained = await asyncio.to_thread(_explain_each, version, self._registry(), [one for _, one in those])
                found |= zip([place for place, _ in those], explained, strict=True)
        return [found[place] for place in range(len(asked))]

    async def sentences(self, name: str) -> dict[str, str] | None:
        """Return the sentence of each rule of a version, by the rule's id; None if the version is not kept."""
        if not (version := self._version_named(name)):
            return None
        rules = await asyncio.to_thread(rules_of, version.content.document.policies)
        return {rule.id: rule.sentence for rule in rules}

    def _version_named(self, name: str) -> Version | None:
        version = self.versions.version(int(name.partition("-")[0]))
        return version if version and version.name == name else None


def _explain_each(version: Version | None, registry: Registry, asked: Sequence[Asked]) -> list[dict[str, Any] | None]:
    try:
        explanations = Explanations(version.content.document, registry) if version else None
        return [_nearest(explanations, one) if explanations else None for one in asked]
    except (PolicyError, ValueError):
        return [None] * len(asked)


def _nearest(explanations: Explanations, asked: Asked) -> dict[str, Any]:
    """Return the rules that came nearest with what each missed, and whether one of them missed nothing: it permits."""
    near = explanations.nearest(asked.who, asked.action, asked.resource)
    rules = [{"id": one.rule.id, "sentence": one.rule.sentence, "missed": [*one.missed]} for one in near]
    return {"allowed": any(not one.missed for one in near), "rules": rules}


def get_version(versions: Versions, number: int) -> Version:
    """Return a version.  Raises `Denied` if it is not kept."""
    if not (version := versions.version(number)):
        raise Denied(PolicyReason.NO_SUCH_VERSION, str(number), advice=f"There is no version {number}")
    return version
