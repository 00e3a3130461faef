"""Decides whether a checkpoint is of a known log, and has enough witnesses (c2sp.org/tlog-policy).  Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zerotrust.tlog.checkpoint import Checkpoint, check_signed, checkpoint_of, cosignature_time
from zerotrust.tlog.note import COSIGNATURE, ED25519, Note, VerifierKey, parse_verifier_key
from zerotrust.tlog.tree import InvalidLog

MAX_LINES = 1_000
"""Lines of a policy: many times the 96 names that every implementation should support."""

NONE = "none"
_BLANKS = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Group:
    """At least `least` of these witnesses and groups have to cosign."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """The logs and witnesses that a reader knows, and the quorum."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    """The addresses of witnesses, by name, as far as the policy has them."""

    def check(self, note: Note) -> tuple[Checkpoint, dict[str, int]]:
        """Return the checkpoint in a note, and when each witness cosigned it (seconds since the epoch).

        Raises `InvalidLog` unless one of the logs signed it, and enough witnesses.
        """
        origin = checkpoint_of(note).origin
        known = [key for key in self.logs if key.name == origin and any(note.by(key))]
        if not known:
            why = f"the checkpoint of {origin} is signed by no log of the policy"
            raise InvalidLog(f"{why}: either it is of another log, or the policy is")
        found, *_ = [check_signed(note, key) for key in known]
        times = {name: at for name, key in self.witnesses.items() if (at := cosignature_time(note, key)) is not None}
        if not self.met_by(times):  # control: witnesses-enough
            has = ", ".join(sorted(times)) or "no witness"
            raise InvalidLog(f"the checkpoint of {origin} is cosigned by {has}, which is not the quorum {self.quorum}")
        return found, times

    def met_by(self, witnesses: Iterable[str]) -> bool:
        met = {NONE, *witnesses}
        for name, group in self.groups.items():  # in the order of the file: members come first
            if len(met.intersection(group.members)) >= group.least:
                met.add(name)
        return self.quorum in met


def policy(text: str) -> TrustPolicy:
    """Parse a policy file.  Raises `InvalidLog`, and names the line."""
    if len(lines := text.split("\n")) > MAX_LINES:
        raise InvalidLog(f"a policy of more than {MAX_LINES} lines")
    if _CONTROL.search(text):
        raise InvalidLog("a policy with control characters")
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if not (items := _BLANKS.sub(" ", line).strip(" ").split(" "))[0] or items[0].startswith("#"):
            continue
        try:
            reader.read(items[0], items[1:])
        except (ValueError, IndexError) as error:
            raise InvalidLog(f"line {number} of the policy: {error}") from error
    if reader.quorum is None:
        raise InvalidLog("the policy has no quorum line")
    return TrustPolicy(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum, reader.addresses)


class _Reader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.addresses: dict[str, str] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def read(self, word: str, items: list[str]) -> None:
        reading = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum}
        if word not in reading:
            raise InvalidLog(f"unknown: {word}")
        reading[word](items)

    def _log(self, items: list[str]) -> None:
        vkey, *_ = _between(items, 1, 2)
        self.logs.append(self._key(vkey, ED25519, [key.public for key in self.logs]))

    def _witness(self, items: list[str]) -> None:
        name, vkey, *address = _between(items, 2, 3)
        key = self._key(vkey, COSIGNATURE, [key.public for key in self.witnesses.values()])
        self.witnesses[self._new(name)] = key
        if address:
            self.addresses[name] = address[0]

    def _group(self, items: list[str]) -> None:
        name, least, *members = _between(items, 3, MAX_LINES)
        if len(set(members)) < len(members) or self._members & set(members):
            raise InvalidLog("a name that is a member twice")
        for member in members:
            self._known(member)
        count = {"all": len(members), "any": 1}.get(least) or (int(least) if least.isascii() and least.isdigit() else 0)
        if not 1 <= count <= len(members):
            raise InvalidLog(f"not all, any or a number of its {len(members)} members: {least}")
        self.groups[self._new(name)] = Group(count, tuple(members))
        self._members |= set(members)

    def _quorum(self, items: list[str]) -> None:
        [name] = _between(items, 1, 1)
        if self.quorum is not None:
            raise InvalidLog("a second quorum")
        if name != NONE:
            self._known(name)
        self.quorum = name

    @staticmethod
    def _key(text: str, kind: int, others: list[bytes]) -> VerifierKey:
        key = parse_verifier_key(text)
        if key.kind != kind:
            raise InvalidLog(f"the key of {key.name} is of another type")
        if key.public in others:
            raise InvalidLog(f"the key of {key.name} is there twice")
        return key

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise InvalidLog(f"the name {name} is taken")
        return name

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise InvalidLog(f"{name} is not defined above")


def _between(items: list[str], least: int, most: int) -> list[str]:
    if not least <= len(items) <= most:
        raise InvalidLog("too few or too many words")
    return items
