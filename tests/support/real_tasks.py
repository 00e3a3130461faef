"""Tasks on the real system, and what is on record of them."""

import asyncio
from typing import Any

import httpx

from demo.again import TRIES
from start.manual_steps import REQUEST
from start.system import EVERYTHING, System
from tests.support.records import records
from zerotrust.audit.event import AuditEvent

# What docs/pictures shows: azp, aud, scope, actors (outermost first), longest life in seconds.
DRAWN = {
    "T0": ("walkthrough", "orchestrator", EVERYTHING, (), 300),
    "T1": ("orchestrator", "agent/reader", "agent.invoke tool.read inference.run llama.chat", ("orchestrator",), 120),
    "T2": ("agent/reader", "tool/documents", "tool.read", ("agent/reader", "orchestrator"), 30),
    "T3": ("agent/reader", "inference", "inference.run llama.chat", ("agent/reader", "orchestrator"), 60),
    "T1w": ("orchestrator", "agent/writer", "agent.invoke tool.write inference.run llama.chat", ("orchestrator",), 120),
    "T2w": ("agent/writer", "tool/documents", "tool.write", ("agent/writer", "orchestrator"), 60),
    "T3w": ("agent/writer", "inference", "inference.run llama.chat", ("agent/writer", "orchestrator"), 60),
    "T1i": ("orchestrator", "inference", "model.read llama.models", ("orchestrator",), 120),
}


async def asked(system: System, user: str, request: str = REQUEST, **more: str) -> httpx.Response:
    """Ask for a task as a user's client would: again, where a service cannot tell yet, as on a busy machine."""
    login = await system.sign_in(user)
    async with system.user() as http:
        body = {"request": request, **more}
        for _ in range(TRIES):
            answer = await http.post(f"{system.address('orchestrator')}/tasks", json=body, auth=login.auth)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
    return answer


async def task(system: System, user: str, request: str = REQUEST, **more: str) -> dict[str, Any]:
    """Run a task as a user's client would."""
    answer = await asked(system, user, request, **more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def traced(system: System, trace_id: str) -> list[AuditEvent]:
    """All events of all parties under one trace id."""
    everything = [event for name in system.registry.services for event in system.events(name)]
    return [event for event in everything if event.trace and event.trace.trace_id == trace_id]


async def versions(system: System) -> set[str]:
    """The versions of the policies by which a task is decided, at all parties."""
    trace = (await task(system, "alice"))["result"]["trace_id"]
    everything = [record for name in system.registry.services for record in records(system.journal(name))]
    found = [record for record in everything if record.get("trace_id") == trace]
    assert len({record["service"] for record in found}) == 5
    return {record["policy"] for record in found if record.get("policy")}
