"""`zt audit resume`: a journal goes on that the log refuses, because somebody else delivered records in its name."""

import asyncio
import errno
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.audit_log import SERVICES, Ledger, record, small
from tests.support.proving import Proving
from tests.support.system import ROOT
from zerotrust.audit import segments
from zerotrust.audit.chain import closed, first_bad_record, lines
from zerotrust.audit.deletion import Deletion
from zerotrust.audit.delivery import Delivery
from zerotrust.audit.event_types import Resumed
from zerotrust.audit.journal import Journal
from zerotrust.audit.ledger import NotDelivered
from zerotrust.audit.record import GENESIS, Link, content_of, event_of, followed, hash_of, link_of
from zerotrust.audit.segments import Segments
from zt import resuming
from zt.commands import app
from zt.output import console

SERVICE, OTHER = SERVICES
PARTY = "orchestrator"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(console, "width", 160)
    monkeypatch.setenv("ZT_WITNESS", str(tmp_path / "witness"))


class Place:
    """A system whose orchestrator's certificate was stolen: the log has records of the thief."""

    def __init__(self, folder: Path, *, same: int, foreign: int, own: int, segment: int = 1_000_000) -> None:
        self.folder, self.ledger = folder, Ledger()
        for _ in range(same):
            self.ledger.batch(SERVICE, OTHER)
        whole = [*self.ledger.journals.get(SERVICE, [])]
        for _ in range(foreign):
            self.ledger.log.grow(self.ledger.record(SERVICE, "GET /forged"), self.ledger.heads_leaf)
        link = link_of(whole[-1]) if whole else GENESIS
        for number in range(own):
            whole.append(record(SERVICE, link, f"GET /own/{number}"))
            link = link_of(whole[-1])
        self.whole, self.forged = whole, self.ledger.journals.get(SERVICE, [])[same:]
        self.publish()
        (folder / "run" / "audit.policy").write_text(self.ledger.policy_text)
        self.path = folder / "run" / "data" / "orchestrator" / "journal.jsonl"
        opened = Segments(self.path)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(segments, "SEGMENT", segment)
            for line in whole:
                opened.commit([content_of(line)])
        opened.close()

    def publish(self) -> None:
        """Write the log as it is now."""
        log = self.folder / "run" / "data" / "authority-audit" / "log"
        content = {**self.ledger.log.files, "checkpoint": str(self.ledger.log.note(*self.ledger.witnesses)).encode()}
        for name, raw in content.items():
            (log / name).parent.mkdir(parents=True, exist_ok=True)
            (log / name).write_bytes(raw)

    def zt(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["--system", str(self.folder), "audit", *words])

    def resume(self, *more: str) -> Result:
        return self.zt("resume", PARTY, "--because", "a certificate was stolen", *more)

    def said(self) -> Any:
        shown = self.resume("--json")
        assert shown.exit_code == 0, shown.output
        return json.loads(shown.stdout)


@pytest.mark.parametrize(
    ("same", "foreign", "own", "segment"),
    [(5, 2, 3, 10_000_000), (0, 1, 2, 10_000_000), (5, 1, 0, 10_000_000), (20, 3, 8, 2_000), (20, 30, 1, 2_000)],
)
def test_the_journal_has_what_the_log_has_then_who_is_not_its_own_then_its_own_again(
    tmp_path: Path, same: int, foreign: int, own: int, segment: int
) -> None:
    place = Place(tmp_path, same=same, foreign=foreign, own=own, segment=segment)
    before = {file.name: file.read_bytes() for file in place.path.parent.iterdir()}

    found = place.said()

    now = [*lines(place.path)]
    assert now[:same] == place.whole[:same]
    assert now[same : same + foreign] == place.forged
    said = event_of(now[same + foreign]).data
    head = hash_of(place.whole[-1]) if own else None
    cause = "a certificate was stolen"
    assert said == Resumed(same=same, foreign=foreign, aside=own or None, aside_sha256=head, cause=cause)  # type: ignore[arg-type]
    assert [*map(content_of, now[same + foreign + 1 :])] == [*map(content_of, place.whole[same:])]
    followed(GENESIS, now)
    assert first_bad_record(place.path) == 0
    aside = Path(found["aside"])
    assert {file.name: file.read_bytes() for file in aside.iterdir()}.items() <= before.items()
    assert (aside / "journal.jsonl").read_bytes() == before["journal.jsonl"]
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert {file.name for file in place.path.parent.iterdir()} <= {*before, aside.name}
    assert place.zt("verify").exit_code == 0
    data = tmp_path / "run" / "data"
    verified = place.zt("verify", str(data / "authority-audit" / "log"), "--journals", str(data))
    assert not same or "its journal is not in" in verified.stdout  # of the other service: ours is as the log has it
    assert same or f"orchestrator        {foreign}                  {own + 1}" in verified.stdout


async def test_what_is_refused_before_is_delivered_afterwards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    place = Place(tmp_path, same=3, foreign=2, own=4)

    class Held(Proving):
        """The log as it stands with this journal."""

        link = link_of(place.forged[-1])

        async def position(self) -> Link:
            return self.link

        async def take(self, lines: Any) -> Link:
            try:
                self.link = followed(self.link, lines)
            except ValueError as error:
                raise NotDelivered("it refuses") from error
            return self.link

    async def delivered() -> bool:
        journal, ledger = Journal(place.path), Held()
        work = asyncio.create_task(
            Delivery(journal, place.path, ledger, Deletion(place.path, ledger, ledger.policy)).run()
        )
        async with asyncio.timeout(30):
            while ledger.link != journal.link and "not delivered to the audit log" not in caplog.text:
                await asyncio.sleep(0.001)
        work.cancel()
        journal.close()
        return ledger.link == journal.link

    assert not await delivered()
    caplog.clear()
    place.said()
    assert await delivered()


def test_a_journal_that_was_restored_from_a_backup_goes_on_behind_what_it_has_lost(tmp_path: Path) -> None:
    place = Place(tmp_path, same=4, foreign=3, own=0)

    shown = place.resume()

    assert shown.exit_code == 0, shown.output
    assert "Records 5 to 7 of orchestrator were not in its journal.  They stay in the log." in shown.stdout
    assert "set-aside-" in shown.stdout
    assert len([*lines(place.path)]) == 8
    tree = place.zt("show", "party:orchestrator").stdout
    assert "resumed: records 5 to 7 of orchestrator were not in its journal: a certificate was stolen" in tree


def test_what_a_thief_delivers_meanwhile_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, compared = Place(tmp_path, same=4, foreign=2, own=3), resuming._compared

    def meanwhile(path: Path, there: bytes) -> tuple[int, Link]:
        for _ in range(3):
            place.ledger.log.grow(place.ledger.record(SERVICE, "GET /forged"), place.ledger.heads_leaf)
        place.publish()
        return compared(path, there)

    monkeypatch.setattr(resuming, "_compared", meanwhile)
    shown = place.resume()

    assert shown.exit_code == 0, shown.output
    assert "Records 5 to 6 of orchestrator were not in its journal." in shown.stdout
    now = [*lines(place.path)]
    assert now[:6] == place.whole[:4] + place.forged
    assert [*map(content_of, now[7:])] == [*map(content_of, place.whole[4:])]


@pytest.mark.parametrize("now", [slice(0, 5), slice(None, None, -1)])
def test_a_log_that_is_another_one_when_it_is_read_again_changes_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: slice
) -> None:
    place, of, read = Place(tmp_path, same=4, foreign=2, own=3), resuming.Log.of, list[str]()
    before = {file.name: file.read_bytes() for file in place.path.parent.iterdir()}

    def another(log: resuming.Log, service: str) -> Iterator[bytes]:
        read.append(service)
        found = [*of(log, service)]
        yield from found if len(read) == 1 else found[now]

    monkeypatch.setattr(resuming.Log, "of", another)
    shown = place.resume()

    assert (shown.exit_code, len(read)) == (1, 2)
    assert "than a moment ago: nothing is changed." in shown.stderr
    assert {file.name: file.read_bytes() for file in place.path.parent.iterdir()} == before


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    place = Place(tmp_path, same=4, foreign=1, own=1)
    place.said()
    content = place.path.read_bytes()

    again = place.resume()

    assert (again.exit_code, again.stdout) == (1, "")
    assert "The log has no other record than" in again.stderr
    assert place.path.read_bytes() == content


def test_it_is_refused_while_the_party_runs(tmp_path: Path) -> None:
    place = Place(tmp_path, same=4, foreign=1, own=1)
    running = Segments(place.path)
    try:
        shown = place.resume()
    finally:
        running.close()
    assert shown.exit_code == 1
    assert "another process writes to it.  The service must not run meanwhile" in shown.stderr


def test_a_journal_whose_own_chain_is_broken_is_not_resumed(tmp_path: Path) -> None:
    place = Place(tmp_path, same=4, foreign=1, own=1)
    lines = place.path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"schema":1', b'"schema":2')
    place.path.write_bytes(b"".join(lines))

    shown = place.resume()

    assert shown.exit_code == 1
    assert f"{place.path}: record 3 was changed, so nobody can say what else was." in shown.stderr
    assert "docs/explain/failures.md, 'A journal whose own chain is broken'." in shown.stderr
    assert "**A journal whose own chain is broken**" in (ROOT / "docs/explain/failures.md").read_text()


def test_a_journal_that_may_only_be_read_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, same=4, foreign=1, own=1)

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as mounted:
        mounted.setattr(os, "open", read_only)
        shown = place.resume()
    assert shown.exit_code == 1
    assert f"{place.path} cannot be written: Read-only file system." in shown.stderr


def test_a_log_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    place, too_long = Place(tmp_path, same=1, foreign=1, own=1), "x" * 300

    for shown in (place.resume("--log", too_long), place.zt("witness", "--log", too_long)):
        assert (shown.exit_code, shown.exception.__class__) == (1, SystemExit)
        assert f"{too_long} cannot be read: File name too long." in shown.stderr


def test_a_log_that_is_not_as_it_was_signed_changes_no_journal(tmp_path: Path) -> None:
    place = Place(tmp_path, same=4, foreign=1, own=1)
    before = {file.name: file.read_bytes() for file in place.path.parent.iterdir()}
    (tmp_path / "run" / "audit.policy").write_text(small().policy_text.replace("log agents", "# agents"))
    assert place.resume().exit_code == 1
    (tmp_path / "run" / "audit.policy").write_text(place.ledger.policy_text)
    size = len(place.ledger.log.entries)
    tile = tmp_path / "run" / "data" / "authority-audit" / "log" / "tile" / "entries" / "000.p" / str(size)
    tile.write_bytes(tile.read_bytes().replace(b"forged", b"Forged"))

    shown = place.resume()

    assert shown.exit_code == 1
    assert "is changed" in shown.stderr
    assert {file.name: file.read_bytes() for file in place.path.parent.iterdir()} == before


def test_a_party_without_a_journal_here(tmp_path: Path) -> None:
    place = Place(tmp_path, same=1, foreign=1, own=1)
    shown = place.zt("resume", "agent/nobody", "--because", "x")
    assert shown.exit_code == 1
    assert "No journal in" in shown.stderr


def test_a_journal_that_has_nothing_in_common_with_the_log_any_more(tmp_path: Path) -> None:
    place = Place(tmp_path, same=20, foreign=0, own=0, segment=2_000)
    first, *_, last = closed(place.path)
    first.unlink()
    other = Ledger()
    for _ in range(30):
        other.log.grow(other.record(SERVICE, "GET /another"), other.heads_leaf)
    log = tmp_path / "other"
    for name, raw in {**other.log.files, "checkpoint": str(other.log.note(*other.witnesses)).encode()}.items():
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(raw)

    shown = place.resume("--log", str(log))

    assert shown.exit_code == 1
    assert "has nothing any more that is also in the log: `make fresh`" in shown.stderr
    assert last.exists()
