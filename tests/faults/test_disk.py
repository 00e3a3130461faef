"""No room on the disk: refused and not done, nothing half written, and it goes on when there is room again.

The kernel says so, not a fake: no file may grow beyond a limit that a test sets (RLIMIT_FSIZE).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.clients import said, use
from tests.support.disk import no_room_beyond
from tests.support.door import Door
from tests.support.issuer import Issuer
from tests.support.records import records
from tests.support.system import ROOT, System
from zt.audit.journals import first_bad_record

Token = Callable[..., str]
Stored = Callable[[], dict[str, dict[str, str]]]


@pytest.mark.parametrize("room", [0, 100], ids=["no room", "room for a part of it"])
async def test_what_cannot_be_recorded_is_not_done_and_it_goes_on_when_there_is_room(
    door: Door, still_issuer: Issuer, room: int
) -> None:
    journal, token = door.folder / "journal.jsonl", still_issuer.token()
    assert (await door.ask(token)).status == 200
    door.handled.clear()

    with no_room_beyond(journal.stat().st_size + room):
        for _ in range(3):
            reply = await door.ask(token)
            assert (reply.status, reply.reason, reply.headers["retry-after"]) == (503, "journal_unavailable", "1")
    assert door.handled == []

    assert (await door.ask(token)).status == 200
    assert [record["allowed"] for record in records(journal)] == [True, True]
    assert first_bad_record(journal) == 0


async def test_documents_without_room_are_not_half_written_and_the_user_is_told(
    system: System, writing: Token, stored: Stored
) -> None:
    draft = json.loads(said(await use(system, writing(), "create", title="Before", text="short")))
    before, database = stored(), system.folder / "tool-documents" / "documents.db"

    with no_room_beyond(database.stat().st_size):
        created = await use(system, writing(), "create", title="Now", text="x" * 60_000)
        replaced = await use(system, writing(), "replace", id=draft["id"], text="x" * 60_000)

    for result in (created, replaced):
        assert result.is_error
        assert said(result).endswith("nothing was written: the documents cannot be written now")
    assert stored() == before
    assert not (await use(system, writing(), "replace", id=draft["id"], text="x" * 60_000)).is_error


LOGS = """
import asyncio, logging
from zerotrust.transport.logs import log_json_lines
log_json_lines()
for number in range(1000):
    logging.getLogger("here").error("something %d", number)
print("goes on", flush=True)
"""


def test_a_log_that_is_full_stops_nobody() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = subprocess.run(  # noqa: S603 - the text above
            [sys.executable, "-u", "-c", LOGS], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    finally:
        os.close(full)

    assert done.stdout == "goes on\n"
