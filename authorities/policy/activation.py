"""Puts policies into force for operators: one at a time, tested first, kept before they are published."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authorities.policy import differences, fit
from authorities.policy.inquiries import get_version
from authorities.policy.reasons import PolicyReason
from authorities.policy.versions import Content, Version, Versions, VersionsError
from zerotrust.decision import Denied
from zerotrust.limits.bounded import cut
from zerotrust.registry.model import Registry
from zerotrust.shielded import Shielding, shielded

MOST_PROBLEMS = 50
"""Problems that are reported of one content; a person corrects these first."""

LONGEST_PROBLEM = 500
"""Characters of a problem: a name in it can be as long as a policy."""

Publish = Callable[[Version], Awaitable[None]]
"""Sends a version to the registry, and returns once that has taken it.

It raises `Denied`: with a status below 500 if the registry refuses it, otherwise if the registry does not answer."""

Record = Callable[[Version, Mapping[str, Any] | None], Awaitable[object]]
"""Records that an operator puts a version into force, and how it differs from the one before; with None, that it is in
force, and no newer one.  Returns when that is on the disk.  Raises `Denied`."""


class PolicyActivation(Shielding):
    """Tests policies, activates them, and rolls them back."""

    def __init__(self, versions: Versions, publish: Publish, registry: Callable[[], Registry], record: Record) -> None:
        """`registry` returns the version in force."""
        super().__init__()
        self.versions, self._publish, self._registry, self._record = versions, publish, registry, record
        self._turn = asyncio.Lock()

    async def test(self, content: Content) -> dict[str, Any]:
        """Return the problems of a content, and its differences from the version in force.  Nothing is kept."""
        active = self.versions.active
        problems, further = await asyncio.to_thread(self._problems, content)
        differing = await asyncio.to_thread(differences.describe, active.content, content, self._registry())
        return {"active": active.number, "problems": problems, "further_problems": further, **differing}

    @shielded
    async def activate(
        self, content: Content, *, by: str, why: str, after: int | None = None, of: int | None = None
    ) -> Version:
        """Put a content into force as a new version.  Return it when the registry has taken it.

        `after`: the version that the operator has compared it with.  Raises `Denied`: `policy_moved` if that is not in
        force any more, `policy_unfit` if the content may not be published, `versions_unavailable` if it cannot be kept,
        and what publishing raises.
        """
        async with self._turn:
            before = self.versions.active
            if after not in (None, before.number):  # control: activated-as-compared
                advice = f"Version {before.number} is in force by now: compare with it, then repeat the command."
                raise Denied(PolicyReason.POLICY_MOVED, f"{after}, not {before.number}", advice=advice)
            problems, further = await asyncio.to_thread(self._problems, content, by)
            if problems:  # control: activated-as-tested
                more = {"problems": problems, "further_problems": further}
                raise Denied(PolicyReason.POLICY_UNFIT, problems[0], more=more)
            try:
                version = await asyncio.to_thread(self.versions.add, content, by=by, why=why, of=of)
            except VersionsError as error:
                raise Denied(PolicyReason.VERSIONS_UNAVAILABLE, str(error), advice=str(error)) from error
            differing = await asyncio.to_thread(differences.describe, before.content, content, self._registry())
            await self._record(version, differing)  # before any other party decides by it
            await self._publish_version(version, before)
            return version

    async def rollback(self, number: int, *, by: str, why: str, after: int | None = None) -> Version:
        """Put the content of an older version into force, as a new version.  `after` and errors: as for `activate`."""
        content = get_version(self.versions, number).content
        return await self.activate(content, by=by, why=why, after=after, of=number)

    async def state(self) -> None:
        """Record which version is in force.  Raises `Denied`."""
        async with self._turn:  # otherwise the record could come after that of a newer one
            await self._record(self.versions.active, None)

    async def _publish_version(self, version: Version, before: Version) -> None:
        await asyncio.to_thread(self.versions.use, version)
        try:
            await self._publish(version)
        except Denied as refusal:
            if refusal.status >= 500:
                advice = f"Version {version.number} is kept, and comes into force as soon as the registry takes it."
                raise Denied(refusal.reason, refusal.detail, advice=advice) from refusal
            await self._record(before, None)
            await asyncio.to_thread(self.versions.use, before)  # control: refused-version-withdrawn
            raise

    def _problems(self, content: Content, *by: str) -> tuple[list[str], int]:
        return limit_problems(fit.problems(content, self._registry(), {*by, *self.versions.operators}))


def limit_problems(problems: list[str]) -> tuple[list[str], int]:
    """Return the first problems, each cut to `LONGEST_PROBLEM`, and the number of the others."""
    first = problems[:MOST_PROBLEMS]
    return [cut(one, LONGEST_PROBLEM) for one in first], len(problems) - len(first)
