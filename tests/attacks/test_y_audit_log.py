"""Y. The audit log: what somebody does to an export, to a log that is signed, or to a journal, and who is named."""

from io import BytesIO
from pathlib import Path

from evidence.export import lines_of
from evidence.fault import EXPORT, LOG, Fault, Faulty, LoggedRecords, compare
from evidence.verification import Verification
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.audit_log import SERVICES, Ledger, record, small
from tests.support.tlog import ORIGIN, Keys
from zerotrust.audit.record import Link, hash_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.tlog.note import ED25519, Note, Signature
from zerotrust.tlog.quorum import TrustPolicy

ONE, OTHER = SERVICES


class Evidence(Scene):
    """A log with an export of it, as lines, and what a reader trusts."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.ledger = small()
        self.lines = list(lines_of(BytesIO(self.ledger.export())))
        self.first = len(self.lines) - len(self.ledger.log.entries)
        """The line of the first leaf."""

    def read(self, lines: list[bytes], expected: str) -> Attempt:
        """What a reader finds in these lines."""
        return found(b"".join(lines), self.ledger.policy, expected)


def found(raw: bytes, policy: TrustPolicy, expected: str) -> Attempt:
    try:
        list(Verification(lines_of(BytesIO(raw)), policy).leaves())
    except Faulty as faulty:
        return told(faulty.fault, expected)
    return told(None, expected)


def told(fault: Fault | None, expected: str) -> Attempt:
    """An attempt that succeeds where nothing was found; otherwise the right one must be named."""
    if not fault:
        return Attempt("not found", succeeded=True)
    name = f"record {fault.record} of {fault.party}" if fault.party else f"leaf {fault.leaf}"
    text = f"{name}: {fault.what}: {fault.who}"
    return Attempt(f"{fault.what}", succeeded=False, recorded=(text,), reason=expected)


def signed(ledger: Ledger, expected: str) -> Attempt:
    """What a reader finds in an export of a log that its own key and its witness signed."""
    return found(ledger.export(), ledger.policy, expected)


@attack(320, Evidence)
async def test_the_lines_of_an_export(evidence: Evidence) -> Tries:
    """Leaf 4 is record 2 of the second service; 2 is where the heads stand."""
    lines, place = evidence.lines, evidence.first + 4
    name, heads = f"record 2 of {OTHER}", evidence.first + 2
    edited = lines[place].replace(b"GET /health", b"GET /hidden")
    for changed in edited, b"{}\n":
        yield evidence.read([*lines[:place], changed, *lines[place + 1 :]], f"{name}: changed: {EXPORT}")
    later = lines[heads].replace(b'"time":1', b'"time":2')
    yield evidence.read([*lines[:heads], later, *lines[heads + 1 :]], f"leaf 2: changed: {EXPORT}")
    yield evidence.read(lines[:place] + lines[place + 1 :], f"{name}: missing: {EXPORT}")
    moved = [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]
    yield evidence.read(moved, f"{name}: reordered: {EXPORT}")
    yield evidence.read([*lines[: place + 1], *lines[place:]], f"{name}: duplicated: {EXPORT}")
    invented = record(OTHER, Link(70, "0" * 64)) + b"\n"
    yield evidence.read([*lines[:place], invented, *lines[place:]], f"record 71 of {OTHER}: inserted: {EXPORT}")
    yield evidence.read(lines[:place], f"leaf 4: truncated: {EXPORT}")
    yield evidence.read([*lines[:-1], lines[-1][:-9]], f"leaf {len(lines) - evidence.first - 1}: truncated: {EXPORT}")


@attack(322, Evidence)
async def test_more_behind_the_last_leaf(evidence: Evidence) -> Tries:
    size, invented = len(evidence.ledger.log.entries), evidence.ledger.record(ONE)
    yield evidence.read([*evidence.lines, invented + b"\n"], f"record 10 of {ONE}: inserted: {EXPORT}")
    yield evidence.read([*evidence.lines, evidence.lines[-1]], f"leaf {size}: duplicated: {EXPORT}")


@attack(323, Evidence)
async def test_a_history_that_its_witness_did_not_cosign(evidence: Evidence) -> Tries:
    forked = small(5)
    forked.batch(ONE)
    forked.witnesses = ()
    yield evidence.read(list(lines_of(BytesIO(forked.export()))), f"leaf None: unsigned: {EXPORT}")


@attack(324, Evidence)
async def test_a_log_of_ones_own_in_the_name_of_another(evidence: Evidence) -> Tries:
    """The ids of keys are public, and stand in the signatures that somebody makes up."""
    own, right = Ledger(keys=Keys(ORIGIN, ED25519, "own")), evidence.ledger
    own.batch(ONE)
    note = own.log.note()
    made_up = tuple(
        Signature(key.public.name, key.public.key_id, bytes(length))
        for key, length in ((right.log.keys, 64), (right.witnesses[0], 72))
    )
    own.log.note = lambda *_, **__: Note(note.text, made_up)  # type: ignore[method-assign]
    yield evidence.read(list(lines_of(BytesIO(own.export()))), f"leaf None: unsigned: {EXPORT}")


@attack(325, Evidence)
async def test_another_log_under_the_right_checkpoint(evidence: Evidence) -> Tries:
    """It fits itself: as many leaves, with their own hashes, chains and heads."""
    other = Ledger()
    for number in range(6):
        for service in (*SERVICES, *SERVICES[: number % 2]):
            other.log.grow(other.record(service, "GET /other"))
        other.log.grow(other.heads_leaf)
    lines = list(lines_of(BytesIO(other.export())))
    assert len(lines) == len(evidence.lines)
    yield evidence.read([evidence.lines[0], *lines[1:]], f"leaf None: forked: {EXPORT}")


@attack(326, Evidence)
async def test_a_log_with_a_journal_that_does_not_continue(evidence: Evidence) -> Tries:
    forked, broken = small(), small()
    again = record(ONE, Link(3, hash_of(b"another")))
    forked.heads[ONE] = Link(4, hash_of(again))
    forked.log.grow(again, forked.heads_leaf)
    yield signed(forked, f"record 4 of {ONE}: forked: {LOG}")
    broken.heads[OTHER] = Link(6, hash_of(b"another"))
    broken.batch(OTHER)
    yield signed(broken, f"record 6 of {OTHER}: changed: {OTHER}")


@attack(327, Evidence)
async def test_a_log_that_leaves_out_the_end_of_a_journal(evidence: Evidence) -> Tries:
    hidden, last = small(), small()
    before = dict(hidden.heads)
    hidden.record(OTHER)  # is never a leaf, and yet the heads have it
    hidden.log.grow(hidden.heads_leaf)
    yield signed(hidden, f"record 7 of {OTHER}: missing: {LOG}").stopped_by("heads-compared")
    earlier = small()
    earlier.log.grow(heads_leaf(Heads(before | {OTHER: Link(5, hash_of(earlier.journals[OTHER][4]))}, 1)))
    yield signed(earlier, f"record 5 of {OTHER}: changed: {LOG}").stopped_by("heads-compared")
    last.log.grow(last.record(OTHER))  # and no heads
    yield signed(last, f"leaf {len(last.log.entries)}: missing: {LOG}").stopped_by("heads-at-the-end")


@attack(329, Evidence)
async def test_a_journal_that_was_changed_after_it_was_delivered(evidence: Evidence) -> Tries:
    """Its last record alone, its whole, or by another service: the chain of what is there is right each time."""
    lines = evidence.ledger.journals[OTHER]
    delivered = LoggedRecords(OTHER)
    for number, line in enumerate(lines):
        delivered.add(number, hash_of(line))
    last = lines[-1].replace(b"GET /health", b"GET /hidden")
    yield told(compare(delivered, [*lines[:-1], last])[0], f"record {len(lines)} of {OTHER}: changed: {OTHER}")
    other = Ledger()
    anew = [other.record(OTHER, "GET /other") for _ in lines]
    yield told(compare(delivered, anew)[0], f"record 1 of {OTHER}: changed: {OTHER}")
    foreign = evidence.ledger.journals[ONE][: len(lines)]
    yield told(compare(delivered, foreign)[0], f"record 1 of {OTHER}: changed: {OTHER}")
