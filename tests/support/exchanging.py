"""Who asks for an exchange, and what stands for the Workload API."""

from typing import Any

from testkit import principal
from tests.support.door import NOW
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import WorkloadError

READER = "spiffe://agents.example/agent/reader"


def caller(token: str = "alice.token.1", **changed: Any) -> Principal:  # noqa: S107 - none that is worth anything
    good: dict[str, Any] = {
        "actors": ("spiffe://agents.example/orchestrator",),
        "audience": READER,
        "scopes": frozenset({"agent.invoke", "tool.read", "inference.run"}),
        "groups": frozenset({"/engineering"}),
        "token_id": "t1",
        "lineage": ("t0",),
        "session": "s",
        "issued_at": int(NOW),
        "expires_at": int(NOW) + 120,
        "token": token,
    }
    return principal(**(good | changed))


class Proof:
    """Stands for the Workload API."""

    def __init__(self) -> None:
        self.error: WorkloadError | None = None
        self.asked: list[str] = []

    async def assertion(self, audience: str) -> str:
        self.asked.append(audience)
        if self.error:
            raise self.error
        return "proof-of-the-reader"
