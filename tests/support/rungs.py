"""A service of one's own as the target of attacks: one door, guarded for any issuer (rung 1) or by workloads (rung 2).

It has the name of a party, because the rows of the catalogue name their doors so.
"""

import importlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from starlette.types import ASGIApp

from testkit.wire import lifespan
from tests.support.attack import DOORS, Door, Target, Watched
from tests.support.bound import Workload, bound, in_process
from tests.support.ca import the_ca
from tests.support.door import Clock
from tests.support.existing_service import ROUTES, existing
from tests.support.issuer import ISSUER, Issuer
from tests.support.records import records
from zerotrust import guard
from zerotrust.audit.event_types import Counts
from zerotrust.clock import NonDecreasingClock
from zerotrust.gate import Gate
from zerotrust.spiffe.svid import Peer
from zerotrust.standalone import any_issuer, bound_service

for group in "a_credentials", "b_jose", "c_claims", "d_realm", "e_scope", "h_attestation":
    importlib.import_module(f"tests.attacks.test_{group}")  # so that `TRIES` has their rows

Made = AsyncIterator["Guarded"]
PARTY, CALLER = "agent/reader", "orchestrator"


class Plain(Issuer):
    """An issuer whose tokens have no claim of this project, and may be used by whoever has them."""

    def claims(self, **changed: Any) -> dict[str, Any]:
        return super().claims(**{"zt_cnf": None, **changed})

    def headers(self, token: str, _peer: Peer, _method: str, _url: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}


class Guarded(Target):
    """One service behind a gate."""

    def __init__(self, folder: Path, issuer: Issuer, gate: Gate, app: ASGIApp) -> None:
        address, watched = issuer.registry.address(PARTY), object.__new__(Watched)
        watched.handled, watched.required, watched.keys = [], ROUTES, gate.keys
        gate.app = watched._watching(gate.app)  # type: ignore[assignment]
        services, addresses, apps = {PARTY: watched}, {PARTY: address}, {address: app}
        self._gate = gate
        system: Any = SimpleNamespace(folder=folder, services=services, addresses=addresses, apps=apps)
        super().__init__(system, issuer, Clock(time.time()))
        gate.clock = NonDecreasingClock(self.clock)

    async def records(self, party: str) -> list[dict[str, Any]]:
        await self._gate.counter.flush()
        await self._gate.recorder.append(Counts())  # a commit, for what rides on one
        return records(self.system.folder / party.replace("/", "-") / "journal.jsonl", by_certificate=True)

    def scheme(self, party: str) -> bytes:  # noqa: ARG002 - there is one
        return b"Bearer"


@asynccontextmanager
async def rung_1(folder: Path, memory: Issuer, **real: Any) -> Made:
    """A service for any issuer; `real`: what `guard` gets for another one than the one in memory."""
    made = list[Gate]()

    def noted(**how: Any) -> Gate:
        made.append(Gate(**how))
        return made[0]

    with patch.dict(DOORS, {PARTY: Door("/v1/quotes", {}, (), "quote.write")}, clear=True):
        with patch.object(any_issuer, "Gate", noted):
            in_memory = {"issuer": ISSUER, "audience": memory.registry.id(PARTY), "http": in_process(memory)}
            app = guard(existing(), routes=ROUTES, journal=_journal(folder), **{**in_memory, **real})
        async with lifespan(app):
            yield Guarded(folder, memory, made[0], app)


@asynccontextmanager
async def rung_2(folder: Path, issuer: Issuer) -> Made:
    """A service that is bound to workloads."""
    caller, svid = issuer.registry.id(CALLER), the_ca().svid(PARTY)
    service = bound(issuer, callers={caller: caller}, chain_claim="act")
    with (
        patch.dict(DOORS, {PARTY: Door("/v1/quotes", {}, (CALLER,), "quote.write")}, clear=True),
        patch.object(bound_service, "Workload", lambda: Workload(svid)),
    ):
        async with service.guarding(existing(), ROUTES, _journal(folder)) as (gate, _), lifespan(gate):
            yield Guarded(folder, issuer, gate, gate)


def _journal(folder: Path) -> Path:
    path = folder / PARTY.replace("/", "-") / "journal.jsonl"
    path.parent.mkdir(exist_ok=True)
    return path
