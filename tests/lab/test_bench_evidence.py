"""The benchmark of evidence measures an export that is verified, and that is as a real one."""

from pathlib import Path

import pytest

from lab.bench.evidence import BATCH, leaves, measured
from zerotrust.audit.leaf import Heads, Record, leaf_of


@pytest.mark.parametrize("size", [1, BATCH, 3 * BATCH + 1])
def test_a_log_of_any_size_is_verified_and_measured(tmp_path: Path, size: int) -> None:
    row = measured(size, tmp_path / "export")

    assert row.leaves == size
    assert row.verified_s > 0
    assert row.proof_bytes > 300


def test_its_leaves_are_records_of_schema_1_and_end_with_the_heads() -> None:
    found = [leaf_of(leaf) for leaf in leaves(2 * BATCH + 5)]

    assert isinstance(found[-1], Heads)
    assert sum(isinstance(one, Record) for one in found) == 2 * (BATCH - 1) + 4
