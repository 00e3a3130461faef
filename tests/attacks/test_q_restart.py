"""Q. What a restart forgets: who was revoked, and what is on record of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from start.earlier_runs import put_aside
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.issuer import Issuer
from tests.support.records import records
from tests.support.registry_authority import READER, READERS_ID, authority_in, told
from zerotrust.service import Service
from zt.audit.journals import first_bad_record


@dataclass
class Restarted(Scene):
    """A folder in which the registry runs, ends, and runs again."""

    folder: Path
    issuer: Issuer

    def check_journals(self) -> None:
        """Each journal is whole."""
        for journal in self.folder.glob("data/*/journal.jsonl"):
            assert first_bad_record(journal) == 0


@asynccontextmanager
async def in_a_folder(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Restarted]:
    yield Restarted(folder, issuer)


@attack(163, in_a_folder)
async def test_a_restart_with_a_realm_imported_anew_reinstates_whoever_was_suspended(place: Restarted) -> Tries:
    """After the start the party is still refused everywhere, and the new realm gives it no token either."""
    async with authority_in(place.folder / "data", place.issuer) as before:
        await before.operate("POST", f"/parties/{READER}/suspend", {"cause": "compromised"})
    put_aside(place.folder)
    async with authority_in(place.folder / "data", place.issuer, "another import") as after:
        state = (await after.operate("GET", f"/parties/{READER}"))["state"]
        heard = ("disable", READERS_ID) in await told(after, 0)
    yield Attempt(state, state != "suspended")
    yield Attempt("the realm is told" if heard else "the realm is not told", not heard)


@attack(165, in_a_folder)
async def test_a_restart_wipes_what_is_on_record(place: Restarted) -> Tries:
    """Whoever can have the system started again must not have their traces removed by it."""
    async with authority_in(place.folder / "data", place.issuer) as before:
        await before.operate("POST", f"/parties/{READER}/suspend", {"cause": "compromised"})
    put_aside(place.folder)
    async with authority_in(place.folder / "data", place.issuer):
        pass
    found = [r for journal in place.folder.glob("data/*/journal.jsonl") for r in records(journal)]
    kept = any(r.get("action") == "suspend" and r["target"] == READER for r in found)
    yield Attempt("still on record" if kept else "nothing on record", not kept)
