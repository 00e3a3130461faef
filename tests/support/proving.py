"""An audit log in memory that proves what it has, as a party asks it before it deletes a segment of its journal."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.audit.chain import lines
from zerotrust.audit.deletion import Deletion
from zerotrust.audit.log_client import InLog, NotDelivered
from zerotrust.audit.record import Link
from zerotrust.authority.log.proofs import consistency_proof, inclusion_proof
from zerotrust.tlog.note import ED25519, Note
from zerotrust.tlog.proof import Proof


class Proving:
    """A log with the records of one journal and nothing else."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.log, self.registry, self.asked = Log([*lines]), witness("registry"), list[tuple[int, int]]()

    async def policy(self) -> str:
        """The policy that the registry publishes."""
        return f"log {self.log.keys.public}\nwitness registry {self.registry.public}\nquorum registry\n"

    async def position(self) -> Link:
        raise NotImplementedError

    async def take(self, _lines: Sequence[bytes]) -> Link:
        raise NotImplementedError

    async def proof(self, number: int, since: int) -> InLog:
        self.asked.append((number, since))
        size = len(self.log.entries)
        if number > size:
            raise NotDelivered(f"the log does not prove that it has record {number}: 404")
        hashes = tuple(inclusion_proof(number - 1, size, self.log.node))
        grown = tuple(consistency_proof(since, size, self.log.node)) if since <= size else ()
        return InLog(Proof(number - 1, hashes, self.log.note(self.registry)), grown)


LIES = ("others", "not cosigned", "cosigned by another", "signed by another", "another record")


class Lying(Proving):
    """A thief of the ledger has its key and its data, and not the key of the registry."""

    def __init__(self, path: Path, lie: str) -> None:
        whole = [*lines(path)]
        super().__init__(whole if lie != "others" else [line.replace(b"record", b"Record") for line in whole])
        self.lie = lie

    async def proof(self, number: int, since: int) -> InLog:
        found = await super().proof(number, since)
        note = found.proof.checkpoint
        lies = {
            "others": note,
            "not cosigned": Note(note.text, note.signatures[:1]),
            "cosigned by another": self.log.note(witness("someone")),
            "signed by another": Log(self.log.entries, Keys(ORIGIN, ED25519, "another")).note(self.registry),
        }
        if self.lie == "another record":
            return await super().proof(number - 1, since)
        return InLog(replace(found.proof, checkpoint=lies[self.lie]), found.grown)


async def delete(path: Path, delivered: int, ledger: Proving | None = None) -> None:
    """Delete what the log has of a journal, as its delivery does."""
    ledger = ledger or Proving(lines(path))
    deletion = Deletion(path, ledger, ledger.policy)
    for segment in deletion.due(delivered):
        await deletion.delete(segment)
