"""Journals as tests read them: one flat dictionary for each event, every field of it by its own name."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from zerotrust.audit.chain import lines
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Counts, Outcome, Request
from zerotrust.audit.record import event_of

parsed = lru_cache(4096)(event_of)
"""A journal grows, and is read again after each request."""


def records(journal: Path, *, by_certificate: bool = False) -> list[dict[str, Any]]:
    """What callers with a token have done, and what was counted, oldest first.

    Left out is what rides on a commit, for it is on the disk at some later time: outcomes, and calls by certificate,
    unless they are asked for.
    """
    return [
        flat(event) for event in map(parsed, lines(journal)) if _named(event) or (by_certificate and _decided(event))
    ]


def counted_in(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a record counts; a record of one call is all that it counts."""
    return (record["unverified"] or []) + (record["repeated"] or []) if record["event"] == "counts" else [record]


def _decided(event: AuditEvent) -> bool:
    return not isinstance(event.data, Outcome) and event.data != Counts()


def _named(event: AuditEvent) -> bool:
    return _decided(event) and not (isinstance(event.data, Request) and event.data.principal is None)


def flat(event: AuditEvent) -> dict[str, Any]:
    """One event; nested parts are dissolved, and the type is called `event`."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(event))
    data = found.pop("data")
    decision = data.pop("decision", None) or {}
    for part in (found.pop("trace"), data.pop("principal", None), decision):
        found |= part or {}
    found |= data | {"event": data["type"]}
    if decision:
        found |= {"detail": decision["detail"] or "", "policy": (decision["policy"] or {}).get("version")}
    if "peer" in data:
        found["peer"] = (data["peer"] or {}).get("id")
    if "resource" in data:
        found["resource"] = f"{data['resource']['kind']} {data['resource']['name']}"
        found["attributes"] = data["resource"].get("attributes")
    return found


CALLER = Caller(
    subject="6f1e2a52-8a3c-4c8e-9d0d-3f0f5d1c7a11",
    party="walkthrough",
    actors=(),
    audience="spiffe://agents.example/orchestrator",
    scopes=("task.run",),
    groups=("engineering",),
    token_id="trrtcc:0b9d8c7e-5a2f-4f7e-8a55-2b1c9d3e4f50",
    lineage=(),
    transaction="trrtcc:0b9d8c7e-5a2f-4f7e-8a55-2b1c9d3e4f50",
    session="2b9f0f4e-6d53-4f1c-9a34-7a3b1c2d4e5f",
    client="walkthrough",
    chain_started_at=1_800_000_000_000_000,
    issued_at=1_800_000_000_000_000,
    expires_at=1_800_000_300_000_000,
)
"""A user's own client, as a record names it."""
