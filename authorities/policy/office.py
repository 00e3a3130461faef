"""The work on the policies that operators ask for: one at a time, tested first, kept before it is published."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from authorities.policy import differences, fit, may
from authorities.policy.decisions import TableError, rows
from authorities.policy.questions import Asked, Explainer
from authorities.policy.reasons import PolicyReason
from authorities.policy.rules import rules_of
from authorities.policy.versions import Content, Summary, Version, Versions, VersionsError
from zerotrust.decision import Denied
from zerotrust.policy import PolicyError
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of
from zerotrust.shielded import Shielding, shielded

MOST_PROBLEMS = 50
"""Problems that are told of one content; whoever has more mends these first."""

Publish = Callable[[Version], Awaitable[None]]
"""Sends a version to the registry, and returns once that has taken it.

It raises `Denied`: with a status below 500 if the registry refuses it, otherwise if the registry does not answer."""

Record = Callable[[Summary], Awaitable[object]]
"""Returns when that is on the disk.  Raises `Denied`."""


class Office(Shielding):
    """The versions, and what is done with them."""

    def __init__(self, versions: Versions, publish: Publish, registry: Callable[[], Registry], record: Record) -> None:
        """`registry`: returns the one in force; `record`: writes down that an operator puts a version into force."""
        super().__init__()
        self.versions, self._publish, self._registry, self._record = versions, publish, registry, record
        self._turn = asyncio.Lock()

    async def version(self, number: int) -> Version:
        """Return a version.  Raises `Denied` if it is not kept, or damaged."""
        try:
            return await asyncio.to_thread(self.versions.version, number)
        except KeyError as error:
            raise Denied(PolicyReason.NO_SUCH_VERSION, str(number), advice=f"There is no version {number}") from error
        except VersionsError as error:
            raise _unavailable(error) from error

    async def test(self, content: Content) -> dict[str, Any]:
        """Return what is wrong with a content, and what differs from the version in force.  Nothing is kept."""
        active = self.versions.active
        problems = await asyncio.to_thread(self._problems, content)
        return {
            "active": active.number,
            "problems": problems,
            **await asyncio.to_thread(self._differences, active.content, content, active.name, "new"),
        }

    async def differences(self, one: int, other: int) -> dict[str, Any]:
        """Return what differs between two versions.  Raises `Denied` if one is not kept."""
        old, new = await self.version(one), await self.version(other)
        return await asyncio.to_thread(self._differences, old.content, new.content, old.name, new.name)

    @shielded
    async def activate(
        self, content: Content, *, by: str, why: str, after: int | None = None, of: int | None = None
    ) -> Summary:
        """Put a content into force as a new version.  Return it when the registry has taken it.

        `after`: the version that the operator has compared it with.  Raises `Denied`: `policy_moved` if that is not in
        force any more, `policy_unfit` if the content may not be published, `versions_unavailable` if it cannot be kept,
        and what publishing raises.
        """
        async with self._turn:
            if after not in (None, active := self.versions.active.number):  # control: activated-as-compared
                advice = f"Version {active} is in force by now: compare with it, then repeat the command."
                raise Denied(PolicyReason.POLICY_MOVED, f"{after}, not {active}", advice=advice)
            if problems := await asyncio.to_thread(self._problems, content):  # control: activated-as-tested
                raise Denied(PolicyReason.POLICY_UNFIT, problems[0], more={"problems": problems})
            try:
                version = await asyncio.to_thread(self.versions.add, content, by=by, why=why, of=of)
            except VersionsError as error:
                raise _unavailable(error) from error
            await self._published(version)
            return version.summary

    async def rollback(self, number: int, *, by: str, why: str) -> Summary:
        """Put the content of an older version into force, as a new one.  Raises as `activate`."""
        return await self.activate((await self.version(number)).content, by=by, why=why, of=number)

    async def explain(self, asked: Sequence[Asked]) -> list[dict[str, Any] | None]:
        """Explain refusals, each by the version that decided; None where that is not kept, or fits no longer."""
        explainers = dict[str, Explainer | None]()
        for one in asked:
            if one.policy not in explainers:
                explainers[one.policy] = await self._explainer(one.policy)

        def explained(one: Asked) -> dict[str, Any] | None:
            explainer = explainers[one.policy]
            return explainer.explain(one) if explainer else None

        return await asyncio.to_thread(lambda: [explained(one) for one in asked])

    async def sentences(self, name: str) -> dict[str, str] | None:
        """Return the sentence of each rule of a version, by the rule's id; None if the version is not kept."""
        version = await self._named(name)
        return {rule.id: rule.sentence for rule in rules_of(version.content.document.policies)} if version else None

    def may(self, name: str) -> may.May:
        """Return what the party of that name may do by the version in force.  Raises `Denied` if there is none."""
        registry, document = self._registry(), self.versions.active.content.document
        if name not in registry.parties:
            raise Denied(PolicyReason.NOT_REGISTERED, name)
        return may.of_party(name, policy_of(document, registry), rules_of(document.policies), registry)

    async def _published(self, version: Version) -> None:
        recorded = False
        try:
            await self._record(version.summary)  # before any other party decides by it
            recorded = True
            await self._publish(version)
        except Denied as refusal:
            if recorded and refusal.status >= 500:
                advice = f"Version {version.number} is kept, and comes into force as soon as the registry takes it."
                raise Denied(refusal.reason, refusal.detail, advice=advice) from refusal
            try:
                await asyncio.to_thread(self.versions.withdraw, version)  # control: refused-version-withdrawn
            except VersionsError as error:
                raise _unavailable(error) from error
            raise

    async def _named(self, name: str) -> Version | None:
        try:
            version = await self.version(int(name.partition("-")[0]))
        except Denied:
            return None
        return version if version.name == name else None

    async def _explainer(self, name: str) -> Explainer | None:
        if not (version := await self._named(name)):
            return None
        try:
            return await asyncio.to_thread(Explainer, version.content.document, self._registry())
        except (PolicyError, ValueError):
            return None

    def _problems(self, content: Content) -> list[str]:
        registry = self._registry()
        try:
            found = fit.problems(content.document, registry, rows(content.table, registry))
        except TableError as error:
            found = [str(error)]
        more = [f"and {len(found) - MOST_PROBLEMS} more"] if len(found) > MOST_PROBLEMS else []
        return found[:MOST_PROBLEMS] + more

    def _differences(self, old: Content, new: Content, before: str, after: str) -> dict[str, Any]:
        """Return the difference of the texts, and the answers that change: None if one does not fit the registry."""
        text = differences.texts(old, new, before=before, after=after)
        try:
            return {"text": text, "answers": [one._asdict() for one in differences.answers(old, new, self._registry())]}
        except (PolicyError, ValueError):
            return {"text": text, "answers": None}


def _unavailable(error: VersionsError) -> Denied:
    return Denied(PolicyReason.VERSIONS_UNAVAILABLE, str(error), advice=str(error))
