"""An export is verified with nothing running: any single change to it is found, and named right where it can be."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.export import hashes_line, hashes_of, lines_of
from evidence.fault import EXPORT, LOG, Fault, Faulty, identify
from evidence.verification import Leaf, Verification
from tests.support.audit_log import SERVICES, Ledger, small
from zerotrust.audit.record import MAX_LINE
from zerotrust.tlog.quorum import TrustPolicy

LEDGER = small()
RAW = LEDGER.export()
LINES = list(lines_of(BytesIO(RAW)))
ENTRIES = LEDGER.log.entries
FIRST = len(LINES) - len(ENTRIES)
"""The line of the first leaf."""
LEAVES = st.integers(0, len(ENTRIES) - 1)


def verified(raw: bytes, policy: TrustPolicy = LEDGER.policy) -> list[Leaf]:
    return list(Verification(lines_of(BytesIO(raw)), policy).leaves())


def fault(raw: bytes, policy: TrustPolicy = LEDGER.policy) -> Fault:
    with pytest.raises(Faulty) as caught:
        verified(raw, policy)
    return caught.value.fault


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


@given(LEAVES)
def test_a_hash_that_is_changed_is_told_from_a_leaf_that_is(leaf: int) -> None:
    lines = list(LINES)
    hashes = bytearray(hashes_of(lines[1]))
    hashes[32 * leaf] ^= 1
    lines[1] = hashes_line(bytes(hashes))

    found = fault(b"".join(lines))
    assert (found.leaf, found.what, found.who) == (leaf, "changed", EXPORT)
    assert "the leaf is as it was signed" in found.why
    assert (found.party, found.record) == (identify(ENTRIES[leaf]) or (None, None))


def test_the_hashes_of_fewer_leaves_are_found() -> None:
    for hashes, leaf in (b"\0" * 32 * 3, 3), (hashes_of(LINES[1]) + b"\0" * 32, len(ENTRIES)):
        found = fault(b"".join([LINES[0], hashes_line(hashes), *LINES[2:]]))
        assert (found.leaf, found.who) == (leaf, EXPORT)


OTHER = SERVICES[1]


def left_out(log: Ledger) -> None:
    log.record(OTHER)
    log.log.grow(log.record(OTHER), log.heads_leaf)


AT_FAULT: dict[str, tuple[Callable[[Ledger], object], dict[str, Any]]] = {
    "a record left out": (left_out, {"what": "missing", "party": OTHER, "record": 7}),
    "something else": (
        lambda log: log.log.grow(b"a note", log.heads_leaf),
        {"what": "malformed", "leaf": len(ENTRIES)},
    ),
}
"""Rows 326 and 327 of the attack catalogue have the others."""


@pytest.mark.parametrize(("change", "told"), AT_FAULT.values(), ids=AT_FAULT)
def test_a_log_that_signs_something_wrong_is_at_fault_or_the_service_that_wrote_it(
    change: Callable[[Ledger], object], told: dict[str, Any]
) -> None:
    log = small()
    change(log)
    found = fault(log.export(), log.policy)

    assert {name: getattr(found, name) for name in ("who", *told)} == {"who": LOG} | told


TOO_LONG = b"x" * (MAX_LINE + 1) + b"\n"


@given(LEAVES)
def test_a_line_that_is_too_long_is_a_changed_leaf(leaf: int) -> None:
    lines = list(LINES)
    lines[FIRST + leaf] = TOO_LONG
    found = fault(b"".join(lines))
    assert (found.what, found.leaf) == ("changed", leaf)

    lines[FIRST + leaf] = b"x\n"
    assert fault(b"".join([*lines, TOO_LONG])).leaf == leaf


@given(LEAVES, st.integers(1, 9))
def test_of_several_leaves_that_are_gone_the_first_is_named_if_no_other_record_can_be_it(leaf: int, count: int) -> None:
    gone = ENTRIES[leaf : leaf + count]
    found = fault(b"".join(LINES[: FIRST + leaf] + LINES[FIRST + leaf + count :]))
    first = dict[str, int]()
    for service, number in filter(None, map(identify, gone)):
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
    monkeypatch.setattr("evidence.verification.MOST_LEAVES", size - 1)
    assert fault(RAW).what == "malformed"
