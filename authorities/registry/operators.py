"""What operators and attestation do to a party's standing; the rules behind the doors of `app.py`."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from authorities.registry.state import State
from authorities.registry.stream import Stream
from authorities.registry.telling import UNTOLD, Aside, tell
from zerotrust.errors import Refusal
from zerotrust.known import SIGNER
from zerotrust.policy import Reason


class Clients(Protocol):
    """The realm's clients, one for each party."""

    async def enable_client(self, client_id: str) -> None:
        """Let it get tokens again.  Raises `AdministrationError`."""

    async def disable_client(self, client_id: str) -> None:
        """Give it no more tokens.  Raises `AdministrationError`."""


class Parties:
    """Every party's standing, and who may change it in which way."""

    def __init__(self, stream: Stream, kept: State, clients: Clients) -> None:
        self._stream, self._kept, self._clients = stream, kept, clients
        self._drifted: dict[str, str] = {}
        self._aside = Aside()
        self._one_after_the_other = asyncio.Lock()

    async def attested(self, drifted: Mapping[str, str], at: float) -> list[str]:
        """Hear which parties do not run what was approved, each with what has changed; return who was suspended for it.

        `at`: when that was so, in seconds since the epoch.  It is the whole story each time, so that one that got lost
        does not matter.  A suspension stays until an operator ends it, whatever becomes of the file.
        """
        parties = self._stream.known.registry.parties
        self._drifted = {name: why for name, why in drifted.items() if name in parties}
        new = [name for name in self._drifted if not self.cause(name)]
        for name in new:
            await self._stream.change("party", self._id(name), f"drift: {drifted[name]}")
            self._tell_aside(name)  # the realm may be slow, and attestation has to be heard again within the second
        self._stream.heard("attestation", time.monotonic() - max(0.0, time.time() - at))
        return new

    async def suspend(self, name: str, cause: str) -> str:
        """Withdraw a party: here first, then at the realm; return what came of the latter."""
        await self._stream.change("party", self._id(name), cause)
        told = await self._told(name, enabled=False)
        if told.startswith(UNTOLD):
            self._tell_aside(name)
        return told

    async def reinstate(self, name: str) -> str:
        """Let a party take part again, unless it drifts or is suspended once more before the realm has heard of it.

        Raises `Refusal` while it does not run what was approved.
        """
        if why := self._drifted.get(name):
            raise Refusal(Reason.DRIFTED, why)
        suspended = self.since(name)
        told = await self._told(name, enabled=True)

        def still_meant(_cause: str | None) -> bool:
            return self.since(name) == suspended and name not in self._drifted

        await self._stream.change("party", self._id(name), None, where=still_meant)
        if self.cause(name):
            self._tell_aside(name)  # suspended once more meanwhile, which has to be what the realm hears last
        return told

    def _tell_aside(self, name: str) -> None:
        self._aside.until_told(lambda: self._told(name, enabled=False), wanted=lambda: self.cause(name) is not None)

    async def _told(self, name: str, *, enabled: bool) -> str:
        if name == SIGNER:
            return "not told: without its client there, no operator gets a token for this door"
        async with self._one_after_the_other:  # what was decided last has to be what the realm hears last
            return await tell(
                (self._clients.enable_client if enabled else self._clients.disable_client)(self._id(name))
            )

    def cause(self, name: str) -> str | None:
        """Why a party is suspended, if it is."""
        return self._kept.withdrawn.get(("party", self._id(name)))

    def since(self, name: str) -> float | None:
        """Since when, in seconds since the epoch."""
        return self._kept.since.get(("party", self._id(name)))

    def describe(self, name: str) -> dict[str, Any]:
        """A party as an operator sees it."""
        known = self._stream.known
        party, approved = known.registry.parties[name], known.approved.get(name)
        cause = self.cause(name)
        return {
            "name": name,
            "id": self._id(name),
            "kind": party.kind,
            "state": "drifted" if name in self._drifted else "suspended" if cause else "active",
            "cause": self._drifted.get(name) or cause,
            "since": self.since(name),
            "code": approved.code if approved else None,
            "card": approved.card if approved else None,
            "tools": dict(approved.tools) if approved else {},
            "calls": party.calls,
            "hands_on": party.hands_on,
        }

    def _id(self, name: str) -> str:
        return self._stream.known.registry.id(name)
