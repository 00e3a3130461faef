"""The Merkle tree, against RFC 9162's own definitions and the roots that Certificate Transparency is tested with."""

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tlog import Log, mth, path, subproof
from zerotrust.authority.log.proofs import consistency_proof, inclusion_proof, root
from zerotrust.authority.log.tiles import (
    WIDTH,
    Edge,
    append_entries,
    decode_bundle,
    encode_bundle,
    node_reader,
    read_part,
    restore_edge,
)
from zerotrust.authority.log.tiles import tile_path as file
from zerotrust.tlog.tree import EMPTY, InvalidLog, check_consistency, check_inclusion, leaf_hash, node_hash

INPUTS = "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The first eight trees of the tests of Certificate Transparency's log."""

LONGEST = 3 * WIDTH
LOG = Log([b"entry %d" % number for number in range(LONGEST)])
LEAVES = [leaf_hash(entry) for entry in LOG.entries]
SIZES = st.integers(1, LONGEST) | st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513, LONGEST])


def test_the_roots_of_certificate_transparency() -> None:
    log, found = Log(), []
    for entry in INPUTS:
        log.grow(bytes.fromhex(entry))
        found.append(log.edge.root.hex())

    assert tuple(found) == ROOTS
    assert Log().edge.root == root(0, log.node) == EMPTY
    assert restore_edge(dict[str, bytes]().__getitem__, 0) == Edge()  # an empty log has no files
    assert node_hash(LEAVES[0], LEAVES[1]) != leaf_hash(LEAVES[0] + LEAVES[1])


@given(SIZES, st.data())
def test_an_entry_is_proved_to_be_in_a_log_and_no_other_entry_is(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    found, whole = inclusion_proof(index, size, LOG.node), mth(LEAVES[:size])

    assert (found, root(size, LOG.node)) == (path(index, LEAVES[:size]), whole)
    check_inclusion(LEAVES[index], index, size, found, whole)
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index)) if size > 1 else -1
    for leaf, at, of in (leaf_hash(b"another"), index, size), (LEAVES[index], other, size), (LEAVES[index], size, size):
        with pytest.raises(InvalidLog):
            check_inclusion(leaf, at, of, found, whole)
    for wrong in changed(found, data):
        with pytest.raises(InvalidLog):
            check_inclusion(LEAVES[index], index, size, wrong, whole)


@given(SIZES, st.data())
def test_a_log_is_proved_to_begin_with_an_earlier_one_and_with_no_other(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    found = consistency_proof(old, size, LOG.node)
    before, after, forked = mth(LEAVES[:old]), mth(LEAVES[:size]), mth([leaf_hash(b"fork"), *LEAVES[1:old]])

    assert found == (subproof(old, LEAVES[:size]) if old else [])
    check_consistency(old, before, size, after, found)
    for was, now in (forked, after), (before, forked if old else b"x" * 32):
        if (was, now) not in {(before, after), (EMPTY, now)}:
            with pytest.raises(InvalidLog):
                check_consistency(old, was, size, now, found)
    for wrong in changed(found, data):
        with pytest.raises(InvalidLog):
            check_consistency(old, before, size, after, wrong)


def changed(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """Proofs that are not that one."""
    found = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        found += [proof[:at] + proof[at + 1 :], [*proof[:at], bytes(32), *proof[at + 1 :]]]
    return found


def test_no_log_shrinks_and_no_entry_outside_of_one_is_in_it() -> None:
    for old, size in (-1, 5), (6, 5), (2, 1):
        with pytest.raises(InvalidLog):
            consistency_proof(old, size, LOG.node)
        with pytest.raises(InvalidLog):
            check_consistency(old, EMPTY, size, EMPTY, [])
    with pytest.raises(InvalidLog):
        check_consistency(0, bytes(32), 0, bytes(32), [])
    for index in -1, 5:
        with pytest.raises(InvalidLog):
            inclusion_proof(index, 5, LOG.node)


def test_a_root_over_more_entries_than_its_log_says_proves_nothing() -> None:
    """Such a root is of no tree, and a signature on it helps nobody."""
    more = node_hash(LEAVES[1], LEAVES[0])

    with pytest.raises(InvalidLog, match="too long"):
        check_inclusion(LEAVES[0], 0, 1, [LEAVES[1]], more)


def test_a_root_that_no_log_of_its_size_has_continues_nothing() -> None:
    """A proof that is too long leads from a true root of six entries to one over any hash beside them."""
    any_, six = leaf_hash(b"any"), mth(LEAVES[:6])
    forged = node_hash(mth(LEAVES[:4]), node_hash(LEAVES[4], node_hash(LEAVES[5], any_)))

    with pytest.raises(InvalidLog, match="too long"):
        check_consistency(6, six, 7, forged, [LEAVES[5], any_, LEAVES[4], mth(LEAVES[:4])])


def test_a_root_over_fewer_entries_than_its_log_says_proves_nothing() -> None:
    """Whoever signs a root can choose it: the length of a proof follows from the size alone."""
    one, two = LEAVES[0], node_hash(LEAVES[0], LEAVES[1])

    with pytest.raises(InvalidLog):
        check_inclusion(one, 0, 2, [], one)
    with pytest.raises(InvalidLog):
        check_consistency(1, one, 4, two, [LEAVES[1]])
    with pytest.raises(InvalidLog):  # an old log that is no power of two needs a proof
        check_consistency(3, mth(LEAVES[:3]), 5, mth(LEAVES[:5]), [])


@pytest.mark.parametrize(
    ("level", "index", "width", "name"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 7, 3, "tile/1/007.p/3"),
        ("entries", 1_234_067, 256, "tile/entries/x001/x234/067"),
        (0, 1_000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_the_paths_of_tiles(level: int | str, index: int, width: int, name: str) -> None:
    assert file(level, index, width) == name


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_has_its_entries_and_nothing_else(entries: list[bytes]) -> None:
    raw = encode_bundle(entries)

    assert decode_bundle(raw, len(entries)) == entries
    for wrong, count in [(raw, len(entries) + 1), (raw + b"\0", len(entries)), (raw[:-1], len(entries))]:
        if wrong != raw or count != len(entries):
            with pytest.raises(InvalidLog):
                decode_bundle(wrong, count)


def test_an_entry_has_a_bound() -> None:
    encode_bundle([bytes(65_535)])
    with pytest.raises(InvalidLog, match="65535"):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize("length", [-1, 1])
@pytest.mark.parametrize("spoilt", ["tile/0/000", "tile/1/000.p/3"])
def test_a_tile_of_another_length_is_not_read(spoilt: str, length: int) -> None:
    raw = LOG.files[spoilt]
    files = LOG.files | {spoilt: raw[:length] if length < 0 else raw + b"x"}

    with pytest.raises(InvalidLog, match=f"{spoilt} has not"):
        inclusion_proof(0, LONGEST, node_reader(files.__getitem__, LONGEST))
    if spoilt.endswith("3"):
        with pytest.raises(InvalidLog, match=f"{spoilt} has not"):
            restore_edge(files.__getitem__, LONGEST)


@pytest.mark.parametrize("level", [0, "entries"])
def test_a_partial_tile_is_taken_from_the_full_one_that_replaced_it(level: int | str) -> None:
    entries = [b"%d" % number for number in range(WIDTH)]
    _, part = append_entries(Edge(), entries[:7])
    edge, _ = append_entries(Edge(), entries[:7])
    _, whole = append_entries(edge, entries[7:])

    def gone(name: str) -> bytes:
        if name not in whole:
            raise FileNotFoundError(name)
        return whole[name]

    name = file(level, 0, 7)
    assert read_part(part.__getitem__, name) == read_part(gone, name) == part[name]
    assert read_part(gone, file(level, 0)) == whole[file(level, 0)]
    for absent in (file(level, 1), file(level, 1, 7)):
        with pytest.raises(FileNotFoundError, match=file(level, 1)):
            read_part(gone, absent)
    with pytest.raises(FileNotFoundError):  # it comes a moment later
        read_part(Mock(side_effect=[FileNotFoundError, b""]), file(level, 1))
