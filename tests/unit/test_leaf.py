"""The leaves of the audit log are lines of journals and the heads of journals; nothing else is a leaf."""

import pytest

from tests.support.ledger import SERVICE
from zerotrust.audit.record import Link
from zerotrust.authority.ledger.leaf import Heads, heads_leaf, leaf_of

HASH = "0f" * 32
HEADS = Heads({SERVICE: Link(12, HASH), "spiffe://agents.example/inference": Link(1, "0" * 64)}, 1_795_600_001_234_567)
LEAF = (
    b'{"heads":{"spiffe://agents.example/inference":{"n":1,"sha256":"' + b"0" * 64 + b'"},'
    b'"spiffe://agents.example/tool/documents":{"n":12,"sha256":"' + HASH.encode() + b'"}},"time":1795600001234567}'
)


def test_heads_have_one_form_and_are_read_back_also_of_no_journal() -> None:
    assert heads_leaf(HEADS) == LEAF
    assert leaf_of(LEAF) == HEADS
    assert leaf_of(b'{"heads":{},"time":0}') == Heads({}, 0)


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"a line",
        LEAF + b"\n",
        LEAF.replace(b'"time"', b' "time"'),
        LEAF.replace(b"1795600001234567", b"-1"),
        LEAF.replace(b"1795600001234567", b"1.5"),
        LEAF.replace(b"1795600001234567", b"true"),
        LEAF.replace(b',"time":1795600001234567', b""),
        LEAF.replace(b'"n":12', b'"n":0'),
        LEAF.replace(b'"n":12', b'"n":true'),
        LEAF.replace(b'"n":12,', b""),
        LEAF.replace(b'"n":12', b'"m":1,"n":12'),
        LEAF.replace(HASH.encode(), HASH.upper().encode()),
        LEAF.replace(b'"%b"' % HASH.encode(), b"12"),
        LEAF.replace(b"spiffe://agents.example/tool/documents", b"documents"),
        LEAF.replace(b'{"n":1,', b'{"n":2,"n":1,'),
        b'{"heads":{"documents":{"n":1,"sha256":"%b"}},"time":0}' % HASH.encode(),
        b'{"heads":[],"time":0}',
        b'{"heads":{"spiffe://agents.example/a":3},"time":0}',
        b'{"heads":{},"more":1,"time":0}',
        b'{"heads":',
    ],
)
def test_nothing_else_is_a_leaf(entry: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        leaf_of(entry)
