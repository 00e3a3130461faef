"""No call is allowed too late: `lab/load/under_faults.py` in short, on the real system."""

import pytest

from demo.revocation_methods import EVERYWHERE
from lab.load.judge import REVOKED, Evidence
from lab.load.under_faults import under_faults
from start.system import System


@pytest.mark.e2e
@pytest.mark.exhaustive
@pytest.mark.asyncio(loop_scope="session")
async def test_no_call_is_allowed_too_late_whatever_is_killed_paused_or_cut_off_meanwhile(real: System) -> None:
    evidence = Evidence(bound=real.registry.freshness.revocations)

    for seed in 6, 7, 8:  # again where the machine is so busy that not enough has happened
        await under_faults(real, evidence, seconds=14, seed=seed, wires=["tool/documents"])
        assert list(evidence.violations()) == []
        if enough := _enough(evidence):
            break

    assert enough
    assert {call.target for call in evidence.calls if call.allowed} == set(EVERYWHERE)


def _enough(evidence: Evidence) -> bool:
    """Whether so much went wrong that to have seen no violation means something."""
    answers = {call.answer for call in evidence.calls}
    seen = {REVOKED, "503 revocation_unknown"} <= answers
    return seen and len(evidence.acknowledged) >= 3 and len(evidence.faults) >= 4
