"""The witnesses beside the registry (c2sp.org/tlog-policy): a file names them, each with its address."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authorities.audit.log import LogError
from zerotrust.authority.bounded_file import file_content
from zerotrust.tlog.note import MAX_NOTE, VerifierKey
from zerotrust.tlog.quorum import policy
from zerotrust.tlog.tree import InvalidLog

MOST_OTHERS = 14
"""With the ledger and the registry, 16 sign: as many as each reader of notes accepts (c2sp.org/signed-note)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExternalWitness:
    """A witness beside the registry."""

    address: str
    """The prefix of its `add-checkpoint`."""
    key: VerifierKey


def parse_witnesses(text: str) -> list[ExternalWitness]:
    """Return the witnesses of a policy file that have an address.  Raises `InvalidLog`."""
    found = policy(text)
    if len(found.addresses) > MOST_OTHERS:
        raise InvalidLog(f"{len(found.addresses)} witnesses with an address: at most {MOST_OTHERS} are asked")
    return [ExternalWitness(address.rstrip("/"), found.witnesses[name]) for name, address in found.addresses.items()]


class WitnessFile:
    """The witnesses that a file names now: calling it reads the file again, if it has changed."""

    def __init__(self, file: Path) -> None:
        """Blocks.  Raises `LogError` if there is a file, and it is not valid."""
        self._file, self._state, self._named = file, _file_state(file), read_witnesses(file)

    def __call__(self) -> Sequence[ExternalWitness]:
        """Return the witnesses; while the file is not valid, those of its last valid content.  Blocks."""
        if (state := _file_state(self._file)) != self._state:
            self._state = state
            try:
                self._named = read_witnesses(self._file)
            except LogError as error:
                log.error("%s; until then, those of before are asked", error)
            else:
                log.info("further witnesses: %s", ", ".join(other.key.name for other in self._named) or "none")
        return self._named


def _file_state(file: Path) -> tuple[int, ...]:
    """Return a value that changes when a file is written or replaced; nothing if there is no file."""
    try:
        now = file.stat()
    except OSError:
        return ()
    return now.st_ino, now.st_mtime_ns, now.st_size


def read_witnesses(file: Path) -> list[ExternalWitness]:
    """Return the witnesses that this file names, if there is one.  Blocks.  Raises `LogError` if it is not valid."""
    try:
        return parse_witnesses(file_content(file, MAX_NOTE).decode())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise LogError(f"{file}: {why}. Repair or remove it: it names further witnesses of the log") from error
