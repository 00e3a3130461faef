"""Strangers by the hundred: they fill no disk, and a user who is signed in is served on."""

import pytest

from lab.flood import RATE, flood
from local.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 3
BYTES_A_SECOND = 1024
"""What a flood from one address may write: a record of its count, once a second."""


async def test_a_flood_of_strangers_is_refused_and_written_down_in_a_bounded_number_of_bytes(
    real: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """`scripts/run lab.flood` does it for a minute."""
    seen = await flood(real, SECONDS)

    with capsys.disabled():
        print(f"\n{seen}")
    assert seen.refused == RATE * SECONDS
    assert 0 < seen.written <= BYTES_A_SECOND * (seen.seconds + 1)
