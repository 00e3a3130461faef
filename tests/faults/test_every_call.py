"""One call of the disk fails, or the process ends at it: each call in turn, of all that write evidence.

Afterwards everything that was acknowledged is there, with one history, in the folder as it is and in what a power loss
leaves of it; and it goes on.  `make test` tries some of the calls, and `make faults` each.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.disk import FAULTS, NO_ROOM, Disk, Killed
from tests.support.disk_scenarios import TRIES, Acknowledged, begun, check_ledger, ledger
from zerotrust.audit import segments
from zerotrust.audit.chain import lines as lines_of
from zt.audit.journals import first_bad_record

COMMITS = 9
SAMPLE = {"ledger": 13, "journal": 2}
"""`make test` tries each thirteenth call of a ledger, and each second one of a journal."""


Scenario = Callable[[Path, Acknowledged], Coroutine[Any, Any, None]]


async def journal(root: Path, acknowledged: Acknowledged) -> None:
    """A journal with several segments; what fails is tried again, after a restart where it says so."""
    number = 0
    while number < COMMITS:
        for _ in range(TRIES):
            with suppress(OSError):
                files = segments.Segments(root / "journal.jsonl")
                break
        try:
            while number < COMMITS:
                event = b'{"number":%d}' % number
                files.commit([event])
                acknowledged.told.append(event)
                number += 1
        except segments.JournalError:
            continue
        finally:
            files.close()


async def check_journal(root: Path, acknowledged: Acknowledged) -> None:
    """Each acknowledged event is there once, in order; what a start says is there stays; and the journal goes on."""
    path = root / "journal.jsonl"
    files = segments.Segments(path)
    files.commit([b'{"number":99}'])
    files.close()
    assert first_bad_record(path) == 0
    found = [line.partition(b',"n":')[0].removeprefix(b'{"event":') for line in lines_of(path)]
    at = iter(found)
    assert all(event in at for event in acknowledged.told)
    assert found[-1] == b'{"number":99}'


SCENARIOS: dict[str, tuple[Scenario, Scenario]] = {
    "ledger": (ledger, check_ledger),
    "journal": (journal, check_journal),
}


async def run(scenario: Scenario, disk: Disk, acknowledged: Acknowledged) -> None:
    try:
        with disk.used():
            await scenario(disk.root, acknowledged)
    except Killed:
        assert disk.dead


async def attempt(scenario: str, folder: Path, at: int, fault: str) -> str:
    """Have it happen at a call, and check what is left.  Return what happened."""
    work, check = SCENARIOS[scenario]
    root = begun(folder)
    acknowledged = Acknowledged()
    disk = Disk(root, at, fault)
    await run(work, disk, acknowledged)
    assert disk.happened or not at
    disk.after_power_loss(folder / "after")
    for left in (folder / "after", root):
        await check(left, acknowledged)
    return disk.happened


def skipped(fault: str, call: str) -> bool:
    """Whether that cannot happen at this call."""
    return (fault == "ENOSPC" and call not in NO_ROOM) or (fault == "killed half-way" and call != "write")


async def each(scenario: str, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Have each fault happen at each `step`th call; return what happened."""
    monkeypatch.setattr(segments, "SEGMENT", 300)
    counted = Disk(begun(folder / "none"))
    await run(SCENARIOS[scenario][0], counted, Acknowledged())
    happened = list[str]()
    for number, fault in enumerate(FAULTS):
        possible = [at for at, call in enumerate(counted.calls, 1) if not skipped(fault, call)]
        for at in possible[number % step :: step]:
            happened.append(await attempt(scenario, folder / f"{fault} {at}", at, fault))
    return happened


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_whichever_call_fails_nothing_acknowledged_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    happened = await each(scenario, tmp_path, monkeypatch, SAMPLE[scenario])

    assert {one.partition(" at ")[0] for one in happened} == {*FAULTS}


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_at_each_single_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str) -> None:
    happened = await each(scenario, tmp_path, monkeypatch, 1)

    print(f"\n{scenario}: {len(happened)} faults, each at another call")
    assert len(happened) > 100
