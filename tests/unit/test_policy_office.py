"""Operators activate policies: one at a time, and what is refused or cannot be recorded changes nothing."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from authorities.policy import activation, fit
from authorities.policy.activation import LONGEST_PROBLEM, PolicyActivation
from authorities.policy.versions import Version, Versions, VersionsError
from tests.support.contents import CONTENT, LESS, REGISTRY
from tests.support.policies import versions_in
from tests.support.waiting import until
from zerotrust.decision import Denied, Reason


@dataclass
class TheRegistry:
    """Takes what is published, unless it has something against it."""

    against: Denied | None = None
    taken: list[int] = field(default_factory=list)
    before: asyncio.Event | None = None
    journal: list[str] = field(default_factory=list)
    journal_full: bool = False

    async def record(self, version: Version, differing: object) -> None:
        """The journal of the authority, which is written before the registry hears of anything."""
        if differing is None:
            self.journal.append(f"in force: {version.name}")
            return
        assert version.number not in self.taken
        if self.journal_full:
            raise Denied(Reason.JOURNAL_UNAVAILABLE, "no space")
        self.journal.append(version.name)

    async def __call__(self, version: Version) -> None:
        if self.before:
            await self.before.wait()
        if self.against:
            raise self.against
        self.taken.append(version.number)


@pytest.fixture
def there() -> TheRegistry:
    return TheRegistry()


@pytest.fixture
def office(tmp_path: Path, there: TheRegistry) -> PolicyActivation:
    return PolicyActivation(versions_in(tmp_path, CONTENT), there, lambda: REGISTRY, there.record)


async def denied(attempt: Awaitable[object]) -> Denied:
    with pytest.raises(Denied) as refused:
        await attempt
    return refused.value


async def test_no_more_problems_are_told_than_one_mends_at_once(
    office: PolicyActivation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation, "MOST_PROBLEMS", most := 20)
    nothing = CONTENT.policies | {"apis.cedar": "", "documents.cedar": ""}

    content = CONTENT.model_copy(update={"policies": nothing})
    all_of_them = fit.problems(content, REGISTRY)

    told = await office.test(content)

    assert told["problems"] == all_of_them[:most]
    assert told["further_problems"] == len(all_of_them) - most > 0
    refused = await denied(office.activate(content, by="olga", why="trial"))
    assert refused.more == {name: told[name] for name in ("problems", "further_problems")}


async def test_a_long_name_is_cut_off(office: PolicyActivation) -> None:
    named = CONTENT.policies["documents.cedar"].replace("resource.owner", f"resource.{'a' * 900}", 1)
    content = CONTENT.model_copy(update={"policies": CONTENT.policies | {"documents.cedar": named}})

    [problem] = (await office.test(content))["problems"]

    assert (len(problem), problem[-1]) == (LONGEST_PROBLEM + 1, "…")


async def test_two_operators_at_once_activate_one_after_the_other(office: PolicyActivation, there: TheRegistry) -> None:
    there.before = asyncio.Event()
    both = [asyncio.create_task(office.activate(LESS, by=by, why="mine", after=1)) for by in ("olga", "omar")]
    await asyncio.sleep(0)
    there.before.set()

    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, Denied)
    assert there.taken == [2]


async def test_what_the_registry_refuses_is_not_in_force(
    office: PolicyActivation, there: TheRegistry, tmp_path: Path
) -> None:
    there.against = Denied(Reason.MALFORMED_BODY, "no")
    with pytest.raises(Denied, match="malformed_body"):
        await office.activate(LESS, by="olga", why="trial")

    assert office.versions.active.number == 1
    assert there.journal[1:] == [f"in force: {office.versions.active.name}"], "the refused one is not, any more"
    assert [file.name for file in tmp_path.iterdir()] == ["000001.json"]
    there.against = None
    assert (await office.activate(LESS, by="olga", why="again")).number == 3, "no number is used twice"


async def test_where_the_registry_does_not_answer_the_version_is_kept_and_that_is_said(
    office: PolicyActivation, there: TheRegistry
) -> None:
    there.against = Denied(Reason.PEER_UNAVAILABLE, "no answer")
    refused = await denied(office.activate(LESS, by="olga", why="trial"))

    assert refused.status == 503
    assert refused.advice == "Version 2 is kept, and comes into force as soon as the registry takes it."
    assert office.versions.active.number == 2
    assert there.journal == [office.versions.active.name], "it is on record all the same"


async def test_what_cannot_be_recorded_does_not_come_into_force(office: PolicyActivation, there: TheRegistry) -> None:
    there.journal_full = True
    with pytest.raises(Denied, match="journal_unavailable"):
        await office.activate(LESS, by="olga", why="trial")

    assert (office.versions.active.number, there.taken) == (1, [])


async def test_an_operator_who_hangs_up_does_not_stop_half_way(office: PolicyActivation, there: TheRegistry) -> None:
    there.before = asyncio.Event()
    asking = asyncio.create_task(office.activate(LESS, by="olga", why="trial"))
    await until(lambda: office.versions.active.number > 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    there.before.set()
    await office.wait_until_done()

    assert there.taken == [2]


async def test_a_full_disk_is_told(office: PolicyActivation) -> None:
    full = VersionsError("version 2 cannot be kept: make room there")
    with patch.object(Versions, "add", side_effect=full):
        refused = await denied(office.activate(LESS, by="olga", why="trial"))

    assert (refused.status, refused.advice) == (503, str(full))
