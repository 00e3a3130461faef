"""The bench of activations measures what it says: on the real system, once there and back."""

import pytest

from lab.load.activation_delay import ACTIVATION, measure, report
from local.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_each_service_is_seen_to_decide_by_each_activation(system: System) -> None:
    took = await measure(system, 1)

    assert took.keys() == {ACTIVATION, "orchestrator", "agent/reader", "tool/documents", "inference"}
    assert {len(each) for each in took.values()} == {2}
    assert report(took).keys() == {
        f"{name}_ms_{percentile}" for name in ("activation", "activation_used") for percentile in ("p50", "p99")
    }
