"""An export is verified with nothing running: any single change to it is found, and named right where it can be."""

from collections.abc import Callable
from io import BytesIO
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audit_log import SERVICES, Ledger, record, small
from tests.support.tlog import ORIGIN, Keys
from zerotrust.audit.export import hashes_line, hashes_of, lines_of
from zerotrust.audit.fault import EXPORT, LOG, Fault, Faulty, named
from zerotrust.audit.leaf import Heads, heads_leaf
from zerotrust.audit.record import MAX_LINE, Link
from zerotrust.audit.verification import Leaf, Verification
from zerotrust.tlog.checkpoint import Checkpoint
from zerotrust.tlog.note import ED25519
from zerotrust.tlog.quorum import TrustPolicy

LEDGER = small()
RAW = LEDGER.export()
LINES = list(lines_of(BytesIO(RAW)))
ENTRIES = LEDGER.log.entries
FIRST = len(LINES) - len(ENTRIES)
"""The line of the first leaf."""
POLICY = LEDGER.policy
LEAVES = st.integers(0, len(ENTRIES) - 1)


def verified(raw: bytes, policy: TrustPolicy = POLICY, held: Checkpoint | None = None) -> list[Leaf]:
    known = {held.origin: held} if held else {}
    return list(Verification(lines_of(BytesIO(raw)), policy, held=known).leaves())


def fault(raw: bytes, policy: TrustPolicy = POLICY, held: Checkpoint | None = None) -> Fault:
    with pytest.raises(Faulty) as caught:
        verified(raw, policy, held)
    return caught.value.fault


def test_every_leaf_of_an_export_is_verified() -> None:
    verification = Verification(lines_of(BytesIO(RAW)), POLICY)
    leaves = list(verification.leaves())

    assert [leaf.line for leaf in leaves] == ENTRIES
    assert [leaf.at for leaf in leaves] == list(range(len(ENTRIES)))
    assert verification.journals == LEDGER.heads
    assert verification.checkpoint == LEDGER.log.checkpoint
    assert set(verification.cosigned) == {"registry"}


@pytest.mark.parametrize("batches", [0, 1, 90, 180])
def test_a_log_of_any_length_is(batches: int) -> None:
    ledger = small(batches)
    assert [leaf.line for leaf in verified(ledger.export(), ledger.policy)] == ledger.log.entries


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_any_byte_that_is_changed_is_found(at: int, change: int) -> None:
    raw = RAW[:at] + bytes([RAW[at] ^ change]) + RAW[at + 1 :]
    line = RAW.count(b"\n", 0, at)
    found = fault(raw)

    assert found.who == EXPORT
    if line >= FIRST:
        assert found.leaf == line - FIRST
        assert found.what in {"changed", "truncated"}  # the last newline


@given(st.integers(0, len(RAW)), st.binary(min_size=1, max_size=3))
def test_any_byte_that_is_inserted_is_found(at: int, more: bytes) -> None:
    assert fault(RAW[:at] + more + RAW[at:]).who == EXPORT


@given(st.integers(0, len(RAW) - 1))
def test_any_byte_that_is_removed_is_found(at: int) -> None:
    assert fault(RAW[:at] + RAW[at + 1 :]).who == EXPORT
    assert fault(RAW[:at]).who == EXPORT


@given(LEAVES)
def test_a_leaf_that_is_changed_or_missing_and_a_tail_that_is_cut_off_are_named(leaf: int) -> None:
    before, [own, *after] = LINES[: FIRST + leaf], LINES[FIRST + leaf :]
    for lines, what in (
        ([*before, own.replace(b"example", b"exemple"), *after], "changed"),
        ([*before, *after], "missing" if after else "truncated"),
        (before, "truncated"),
    ):
        found = fault(b"".join(lines))
        assert (found.what, found.who, found.leaf) == (what, EXPORT, leaf)
        if lines is not before:
            assert (found.party, found.record) == (named(ENTRIES[leaf]) or (None, None))


@given(LEAVES, LEAVES)
def test_two_leaves_that_change_places_are_named(one: int, other: int) -> None:
    lines = list(LINES)
    lines[FIRST + one], lines[FIRST + other] = lines[FIRST + other], lines[FIRST + one]
    if one == other:
        assert verified(b"".join(lines))
        return
    found, first = fault(b"".join(lines)), min(one, other)
    assert (found.what, found.who, found.leaf) == ("reordered", EXPORT, first)
    assert "gone" not in found.why
    assert (found.party, found.record) == (named(ENTRIES[first]) or (None, None))


@given(LEAVES, st.integers(0, len(ENTRIES)))
def test_a_leaf_that_is_there_twice_is_named(leaf: int, place: int) -> None:
    lines = list(LINES)
    lines.insert(FIRST + place, lines[FIRST + leaf])

    found = fault(b"".join(lines))
    # In front of its own place, it is out of order: the leaf behind it is the one that comes once more.
    expected = (place + 1 if place == leaf else place), ("duplicated" if leaf <= place else "reordered")
    assert (found.leaf, found.what, found.who) == (*expected, EXPORT)


@given(st.integers(0, len(ENTRIES)))
def test_a_record_that_is_inserted_is_named(place: int) -> None:
    lines = list(LINES)
    lines.insert(FIRST + place, record(SERVICES[1], Link(77, "0" * 64)) + b"\n")

    found = fault(b"".join(lines))
    assert (found.what, found.who, found.leaf) == ("inserted", EXPORT, place)
    assert (found.party, found.record) == (SERVICES[1], 78)


@given(LEAVES)
def test_a_hash_that_is_changed_is_told_from_a_leaf_that_is(leaf: int) -> None:
    lines = list(LINES)
    hashes = bytearray(hashes_of(lines[1]))
    hashes[32 * leaf] ^= 1
    lines[1] = hashes_line(bytes(hashes))

    found = fault(b"".join(lines))
    assert (found.leaf, found.what, found.who) == (leaf, "changed", EXPORT)
    assert "the leaf is the one that was signed" in found.why
    assert (found.party, found.record) == (named(ENTRIES[leaf]) or (None, None))


@given(LEAVES)
def test_a_leaf_that_is_changed_together_with_its_hash_is_named_by_its_journal(leaf: int) -> None:
    other = Ledger()
    other.log.grow(
        *(entry.replace(b"GET /health", b"GET /hidden") if at == leaf else entry for at, entry in enumerate(ENTRIES))
    )
    lines = [LINES[0], *list(lines_of(BytesIO(other.export())))[1:]]

    name = named(ENTRIES[leaf])
    if not name:
        assert verified(b"".join(lines))  # nothing was changed
        return
    found = fault(b"".join(lines))
    assert found.who == EXPORT
    assert "signed" not in found.why or "not the root that was signed" in found.why
    assert (found.party, found.record) == name


def test_another_log_under_this_checkpoint_is_found() -> None:
    other = Ledger()
    for _ in range(6):
        other.batch(*SERVICES, SERVICES[0])
    lines, count = list(lines_of(BytesIO(other.export()))), len(ENTRIES)

    found = fault(b"".join([LINES[0], hashes_line(hashes_of(lines[1])[: 32 * count]), *lines[2 : 2 + count]]))
    assert (found.what, found.who) == ("forked", EXPORT)


def test_the_hashes_of_fewer_leaves_are_found() -> None:
    for hashes, leaf in (b"\0" * 32 * 3, 3), (hashes_of(LINES[1]) + b"\0" * 32, len(ENTRIES)):
        found = fault(b"".join([LINES[0], hashes_line(hashes), *LINES[2:]]))
        assert (found.leaf, found.who) == (leaf, EXPORT)


@pytest.mark.parametrize("missing", [0, 1])
def test_without_a_line_of_the_head_nothing_is_believed(missing: int) -> None:
    assert fault(b"".join(LINES[:missing] + LINES[missing + 1 :])).what == "malformed"
    assert fault(b"").what == "malformed"


def test_the_keys_are_those_of_the_policy() -> None:
    strangers = Ledger(keys=Keys(ORIGIN, ED25519, "another"))
    strangers.batch(*SERVICES)
    assert (fault(strangers.export()).what, fault(strangers.export()).who) == ("unsigned", EXPORT)

    uncosigned = small()
    uncosigned.witnesses = ()
    found = fault(uncosigned.export())
    assert found.what == "unsigned"
    assert "cosigned by no witness, which is not the quorum" in found.why


def test_what_a_reader_has_cosigned_shows_an_older_state_and_a_fork() -> None:
    longer, forked = small(7), small(5)
    forked.batch(SERVICES[0])
    forked.batch(*SERVICES, SERVICES[0])

    assert verified(longer.export(), held=LEDGER.log.checkpoint)
    assert verified(RAW, held=LEDGER.log.checkpoint)
    older = fault(RAW, held=longer.log.checkpoint)
    assert (older.what, older.who, older.leaf) == ("truncated", EXPORT, len(ENTRIES))
    for size in len(ENTRIES) - 1, len(forked.log.entries):
        other = fault(forked.export(), held=Checkpoint(ORIGIN, size, LEDGER.log.checkpoint.root))
        assert (other.what, other.who) == ("forked", EXPORT)
    assert verified(RAW, held=Checkpoint("another.example/audit", 1, b""))


ONE, OTHER = SERVICES[0], SERVICES[1]


def says(heads: Callable[[Ledger], dict[str, Link]]) -> Callable[[Ledger], object]:
    """A last leaf with these heads."""
    return lambda log: log.log.grow(heads_leaf(Heads(heads(log), 1)))


def left_out(log: Ledger) -> None:
    log.record(OTHER)
    log.log.grow(log.record(OTHER), log.heads_leaf)


def chain_broken(log: Ledger) -> None:
    log.heads[OTHER] = Link(6, "2" * 64)
    log.batch(OTHER)


END, OF_OTHER = {"who": LOG, "leaf": len(ENTRIES)}, {"who": LOG, "party": OTHER}
AT_FAULT: dict[str, tuple[Callable[[Ledger], object], dict[str, Any]]] = {
    "a record twice": (
        lambda log: log.log.grow(log.journals[ONE][-1], log.heads_leaf),
        {"what": "duplicated", "who": LOG, "party": ONE, "record": 9},
    ),
    "two records of one number": (
        lambda log: log.log.grow(record(ONE, Link(3, "1" * 64)), log.heads_leaf),
        {"what": "forked", "who": LOG, "party": ONE, "record": 4},
    ),
    "a record left out": (left_out, OF_OTHER | {"what": "missing", "record": 7}),
    "a chain that its service broke": (chain_broken, END | {"what": "changed", "who": OTHER, "record": 6}),
    "a later head": (
        says(lambda log: log.heads | {OTHER: Link(8, "3" * 64)}),
        OF_OTHER | {"what": "missing", "record": 7},
    ),
    "another head": (
        says(lambda log: log.heads | {OTHER: Link(6, "3" * 64)}),
        OF_OTHER | {"what": "changed", "record": 6},
    ),
    "an earlier head": (
        says(lambda log: log.heads | {OTHER: Link(2, "3" * 64)}),
        OF_OTHER | {"what": "changed", "record": 2},
    ),
    "a journal forgotten": (says(lambda log: {ONE: log.heads[ONE]}), END),
    "a journal invented": (says(lambda log: log.heads | {"spiffe://agents.example/x": Link(1, "0" * 64)}), END),
    "no heads at the end": (
        lambda log: log.log.grow(log.record(ONE)),
        {"what": "missing", "who": LOG, "leaf": len(ENTRIES) + 1},
    ),
    "something else": (lambda log: log.log.grow(b"a note", log.heads_leaf), END | {"what": "malformed"}),
}


@pytest.mark.parametrize(("change", "told"), AT_FAULT.values(), ids=AT_FAULT)
def test_a_log_that_signs_something_wrong_is_at_fault_or_the_service_that_wrote_it(
    change: Callable[[Ledger], object], told: dict[str, Any]
) -> None:
    log = small()
    change(log)
    found = fault(log.export(), log.policy)

    assert {name: getattr(found, name) for name in told} == told


TOO_LONG = b"x" * (MAX_LINE + 1) + b"\n"


@given(LEAVES)
def test_a_line_that_is_too_long_is_a_changed_leaf(leaf: int) -> None:
    lines = list(LINES)
    lines[FIRST + leaf] = TOO_LONG
    found = fault(b"".join(lines))
    assert (found.what, found.leaf) == ("changed", leaf)

    lines[FIRST + leaf] = b"x\n"
    assert fault(b"".join([*lines, TOO_LONG])).leaf == leaf


@given(LEAVES, LEAVES)
def test_a_copy_of_another_leaf_in_place_of_one_is_named_by_what_is_gone(leaf: int, copied: int) -> None:
    lines = list(LINES)
    lines[FIRST + leaf] = lines[FIRST + copied]
    if leaf == copied:
        return
    found = fault(b"".join(lines))
    assert (found.leaf, found.what) == (leaf, "changed")
    assert (found.party, found.record) == (named(ENTRIES[leaf]) or (None, None))


@given(LEAVES, st.integers(1, 9))
def test_of_several_leaves_that_are_gone_the_first_is_named_if_no_other_record_can_be_it(leaf: int, count: int) -> None:
    gone = ENTRIES[leaf : leaf + count]
    found = fault(b"".join(LINES[: FIRST + leaf] + LINES[FIRST + leaf + count :]))
    first = dict[str, int]()
    for service, number in filter(None, map(named, gone)):
        first.setdefault(service, number)

    assert found.leaf == leaf
    if leaf + count >= len(ENTRIES):
        assert (found.what, found.party) == ("truncated", None)
    elif len(first) == 1:
        assert (found.what, found.party, found.record) == ("missing", *next(iter(first.items())))
    else:
        assert (found.what, found.party) == ("missing", None)
        assert all(f"record {number} of {service}" in found.why for service, number in first.items())


def test_more_leaves_than_are_held_in_memory_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(ENTRIES)
    monkeypatch.setattr("zerotrust.audit.verification.MOST_LEAVES", size - 1)
    assert fault(RAW).what == "malformed"


def test_a_fault_says_in_words_what_it_is() -> None:
    with pytest.raises(Faulty, match="truncated: the lines end here"):
        verified(b"".join(LINES[:-1]))


@pytest.mark.parametrize("kept", [0, 3, len(ENTRIES)])
def test_of_lines_without_end_no_more_are_read_than_the_log_has(kept: int) -> None:
    lines = chain(LINES[: FIRST + kept], repeat(record(SERVICES[1], Link(77, "0" * 64)) + b"\n"))
    with pytest.raises(Faulty) as caught:
        list(Verification(lines, POLICY).leaves())
    assert (caught.value.fault.leaf, caught.value.fault.who) == (kept, EXPORT)
