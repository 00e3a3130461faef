"""Drift of targets that no launcher made: a folder and what was approved of it is enough."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from authorities.attestation.verifier import drift as drifting
from authorities.attestation.verifier.drift import Drift
from authorities.attestation.verifier.measure import Files, MeasuredFile
from authorities.attestation.verifier.target import Code, SharedRoot, Target
from tests.support.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("code", "packages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text("genuine")
    return tmp_path


@pytest.fixture
async def drift() -> AsyncIterator[Drift]:
    async with Drift(lambda *_, **__: None) as drift:
        yield drift


def shared(folder: Path) -> SharedRoot:
    packages = str(folder / "packages")
    found = Files(Path("/"), leave_out=()).look([packages])
    return SharedRoot([packages], [], {path: MeasuredFile(None, digest) for path, digest in found.items()}, ())


def target(folder: Path, *roots: SharedRoot) -> Target:
    files = Files(folder, leave_out=())
    own = Code(files, "code", files.look(["code"]))
    return Target(party="agent/one", party_id="spiffe://example/agent/one", pid=1, small=(own,), large=roots)


@pytest.mark.parametrize("name", ["code/main.py", "packages/main.py"])
async def test_a_change_is_reported_while_it_lasts(drift: Drift, folder: Path, name: str) -> None:
    one = target(folder, shared(folder))
    await drift.add(one)
    changes = drift.changes()
    assert await anext(changes) == {"agent/one": ""}

    (folder / name).write_text("changed")
    found = await anext(changes)
    (folder / name).write_text("genuine")

    assert list(found) == ["agent/one"]
    assert name in found["agent/one"]
    assert await anext(changes) == {"agent/one": ""}


async def test_what_differed_before_it_was_added_is_drift_at_once(drift: Drift, folder: Path) -> None:
    one = target(folder, shared(folder))
    (folder / "packages/other.py").touch()

    await drift.add(one)

    assert "other.py" in drift.check(one)
    assert "other.py" in drift.drifted["agent/one"]


@pytest.mark.parametrize("name", ["code/main.py", "packages/main.py"])
async def test_what_is_unknown_for_want_of_descriptors_is_no_drift_and_ends_none_and_is_looked_at_again_at_once(
    drift: Drift, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one = target(folder, shared(folder))
    await drift.add(one)
    for drifted in False, True:
        seen = drift._looked[one]
        with monkeypatch.context() as without:
            without.setattr(os, "scandir", Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
            await drift.look(one)
            assert ("Too many open files" in drift.check(one)) != drifted
            assert bool(drift.drifted) == drifted
            assert drifted or drift._looked[one] == seen
        if not drifted:
            await drift.look(one)
            assert drift._looked[one] > seen
            assert drift.check(one) == ""
        (folder / name).write_text("changed")
        await drift.look(one)
        assert name in drift.drifted["agent/one"]


async def test_what_is_not_watched_is_not_as_approved(drift: Drift, folder: Path) -> None:
    one = target(folder)
    assert drift.check(one) == "not watched"

    await drift.add(one)
    assert drift.check(one) == ""

    drift.remove(one)
    assert drift.check(one) == "not watched"


async def test_waiting_ends_with_drift(drift: Drift, folder: Path) -> None:
    one = target(folder)
    await drift.add(one)
    waiting = asyncio.create_task(drift.wait_until_drifted(one, 3600))
    await asyncio.sleep(0)

    (folder / "code/main.py").write_text("changed")

    await waiting
    assert drift.drifted


class Slow(SharedRoot):
    """Files on a slow disk."""

    def __init__(self) -> None:
        super().__init__([], [], {}, ())
        self.looks, self.go_on = 0, threading.Event()

    def look(self) -> None:
        self.looks += 1
        self.go_on.wait()


async def test_a_measurement_goes_on_when_its_caller_gives_up_and_the_next_caller_gets_its_result_once(
    drift: Drift, folder: Path
) -> None:
    slow = Slow()
    one = target(folder, slow)
    slow.go_on.set()
    await drift.add(one)
    slow.go_on.clear()
    for _ in range(3):
        caller = asyncio.create_task(drift.measure(one))
        await until(lambda: slow.looks == 2)
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
    seen = drift._looked[one]
    slow.go_on.set()
    await until(lambda: drift._looked[one] > seen)

    await drift.measure(one)
    assert slow.looks == 2
    await drift.measure(one)
    assert slow.looks == 3


async def test_a_measurement_that_nobody_has_waited_for_is_not_kept(
    drift: Drift, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drifting, "SECONDS_KEPT", 0)
    slow = Slow()
    one = target(folder, slow)
    slow.go_on.set()
    await drift.add(one)
    caller = asyncio.create_task(drift.measure(one))
    await until(lambda: slow.looks == 2)
    caller.cancel()

    await until(lambda: not drift._measuring)
    await drift.measure(one)
    assert slow.looks == 3
