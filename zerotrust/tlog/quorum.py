"""Decides whether a checkpoint is of a known log, and cosigned as demanded (c2sp.org/tlog-policy, without groups).

Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from zerotrust.tlog.checkpoint import Checkpoint, check_signed, checkpoint_of, cosignature_time
from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, VerifierKey, parse_verifier_key
from zerotrust.tlog.tree import InvalidLog

MAX_LINES = 1_000
"""Lines of a policy: many times the 96 names that every implementation should support."""

NONE = "none"
_BLANKS = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """The logs and witnesses that a reader knows, and the witness that has to cosign."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    quorum: str
    """The name of the witness that has to cosign, or `NONE`."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """The addresses of witnesses, by name, as far as the policy has them."""

    def check(self, note: Note) -> tuple[Checkpoint, dict[str, int]]:
        """Return the checkpoint in a note, and when each witness cosigned it (seconds since the epoch).

        Raises `InvalidLog` unless one of the logs signed it, and the witness that has to.
        """
        origin = checkpoint_of(note).origin
        known = [key for key in self.logs if key.name == origin and any(note.by(key))]
        if not known:
            why = f"the checkpoint of {origin} is signed by no log of the policy"
            raise InvalidLog(f"{why}: either it is of another log, or the policy is")
        found, *_ = [check_signed(note, key) for key in known]
        times = {name: at for name, key in self.witnesses.items() if (at := cosignature_time(note, key)) is not None}
        if self.quorum not in {NONE, *times}:  # control: witnesses-enough
            has = ", ".join(sorted(times)) or "no witness"
            raise InvalidLog(f"the checkpoint of {origin} is cosigned by {has}, which is not the quorum {self.quorum}")
        return found, times


def policy(text: str) -> TrustPolicy:
    """Parse a policy file.  Raises `InvalidLog`, and names the line."""
    if len(lines := text.split("\n")) > MAX_LINES:
        raise InvalidLog(f"a policy of more than {MAX_LINES} lines")
    if _CONTROL.search(text):
        raise InvalidLog("a policy with control characters")
    found = TrustPolicy((), {}, "")
    for number, line in enumerate(lines, 1):
        words = [word for word in _BLANKS.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                found = _with_line(found, words)
            except ValueError as error:
                raise InvalidLog(f"line {number} of the policy: {error}") from error
    if not found.quorum:
        raise InvalidLog("the policy has no quorum line")
    return found


def _with_line(known: TrustPolicy, words: list[str]) -> TrustPolicy:
    """Return the policy with one more line."""
    match words:
        case ["log", vkey] | ["log", vkey, _]:
            return replace(known, logs=(*known.logs, _key(vkey, ED25519, known.logs)))
        case ["witness", name, vkey, *address] if name not in {NONE, *known.witnesses} and len(address) < 2:
            key = _key(vkey, COSIGNATURE, known.witnesses.values())
            addresses = {**known.addresses, **dict.fromkeys([name] if address else [], "".join(address))}
            return replace(known, witnesses={**known.witnesses, name: key}, addresses=addresses)
        case ["quorum", name] if not known.quorum and name in {NONE, *known.witnesses}:
            return replace(known, quorum=name)
    raise InvalidLog(f"{' '.join(words)}: an unknown or repeated name, or not the words of this kind of line")


def _key(text: str, kind: int, others: Iterable[VerifierKey]) -> VerifierKey:
    key = parse_verifier_key(text)
    if key.kind != kind:
        raise InvalidLog(f"the key of {key.name} is of another type")
    if key.public in [other.public for other in others]:
        raise InvalidLog(f"the key of {key.name} is there twice")
    return key
