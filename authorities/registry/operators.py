"""Suspends parties for operators and attestation, and reinstates them for operators: the rules for `app.py`."""

import time
from collections.abc import Mapping
from typing import Any

from authorities.registry.keycloak.admin import Administration, AdministrationError, UnknownError
from authorities.registry.nodes import Nodes
from authorities.registry.notify import NOT_APPLICABLE, NOTIFIED, UNCONFIRMED, Notifier
from authorities.registry.reasons import RegistryReason
from authorities.registry.revocations import DRIFT
from authorities.registry.state import SILENT, State
from authorities.registry.stream import Stream
from zerotrust.audit.event_types import Action
from zerotrust.decision import Denied
from zerotrust.registry.model import Party
from zerotrust.revocation_list import Revocable
from zerotrust.shielded import Shielding, shielded

NOT_FOR_ITSELF = (
    f"{NOT_APPLICABLE}: without its client there, no operator would get a token for the registry.  This is on record "
    "only: all parties go on trusting what the registry publishes, until its process ends"
)
REINSTATED_ITSELF = f"{NOT_APPLICABLE}: its client there was never disabled"
NOT_FOR_ATTESTATION = (
    f"{NOT_APPLICABLE}: it has no client there.  It goes on issuing certificates, until its process ends; its reports "
    "of drift are refused, and without them every party refuses everything within seconds"
)


Made = tuple[Action, str, str]
"""A change that attestation made: its kind, the party, and the cause."""


class Parties(Shielding):
    """Suspends and reinstates parties."""

    def __init__(self, stream: Stream, kept: State, realm: Administration, notifier: Notifier, *, own: str) -> None:
        """`own` is the name of the registry itself as a party."""
        super().__init__()
        self._own, self._stream, self._kept, self._realm, self._notifier = own, stream, kept, realm, notifier
        self._nodes = Nodes(kept, lambda name: stream.follows_until(self._id(name)) is not None)
        self._ran: dict[str, str | None] = {}
        """For each drifted party, the digest of the code that was approved when its drift began, and so is running."""

    async def take_report(self, node: str, found: Mapping[str, str], at: float) -> list[Made]:
        """Take a node's report: all parties that run there, each with the files that differ.  Return what it changes.

        `at`: the time of the report, in seconds since the epoch.  Each report has the whole state of its node, so that
        a lost one does not matter.  A suspension stays until an operator ends it, even if the file is restored; a
        refusal for silence ends with it.  Raises `Denied` for a node too many.
        """
        registry, age, made = self._stream.snapshot.registry, max(0.0, time.time() - at), list[Made]()
        known = {name: files for name, files in found.items() if name in registry.parties}
        await self._nodes.take(node, known, age, registry.freshness.revocations)
        drifted, silent = self._nodes.drifted(), self._nodes.silent
        self._ran = {name: self._ran.get(name, self._approved_code(name)) for name in drifted}
        for name, files in drifted.items():
            if not self.cause(name) or self._silenced(name):
                await self._revoke(name, f"{DRIFT}{files}")  # control: drift-suspends
                # The realm may be slow, and the next report has to be taken within a second.
                self._notifier.notify_later(self._subject(name))
                made.append(("drift", name, files))
        for name in registry.parties:
            if name in silent and not self.cause(name):  # control: silent-node-refused
                cause = f"{SILENT}{silent[name]}"
                await self._silence(name, cause)
                made.append(("suspend", name, cause))
            elif name not in silent and self._silenced(name):
                await self._silence(name, None)
                made.append(("reinstate", name, "its node reports"))
        if not any(name in registry.parties and not self.cause(name) for name in self._nodes.awaited):
            self._stream.note_read("attestation", time.monotonic() - age)
        return made

    def _silenced(self, name: str) -> bool:
        return (self.cause(name) or "").startswith(SILENT)

    async def _silence(self, name: str, cause: str | None) -> None:
        """Refuse a party, or without a cause let it in again, unless that has changed since."""

        def still_meant(current: str | None) -> bool:
            silent = name in self._nodes.silent
            return current is None and silent if cause else (current or "").startswith(SILENT) and not silent

        await self._stream.change("party", self._id(name), cause, where=still_meant)

    async def suspend(self, name: str, cause: str, operator: str) -> str:
        """Revoke a party in the registry first, then at the realm.  Return the result of notifying the realm.

        `operator`: the caller's user id, or its SPIFFE ID.
        Raises `Denied` for the program that operators sign in with, for the policy authority and for the caller itself,
        because nobody might be left who could reinstate it.  When the policies that the policy authority has signed
        end, nothing is permitted to operators either.
        """
        party, authorities = self._party(name), self._stream.snapshot.registry.authorities
        if operator == self._id(name):  # control: suspends-not-itself
            raise Denied(RegistryReason.WOULD_LOCK_OUT, name)
        if name == authorities.policy or (party and party.id == "client" and self._own in party.may_call):
            raise Denied(RegistryReason.WOULD_LOCK_OUT, name)
        await self._suspend(name, f"{cause} (operator {operator})", operator)
        if name == authorities.attestation:
            return NOT_FOR_ATTESTATION
        return NOT_FOR_ITSELF if name == self._own else await self._notifier.notify(self._subject(name))

    @shielded
    async def _suspend(self, name: str, cause: str, operator: str) -> None:
        """Revoke, to the end even if this caller is cut off: the next one must see it."""
        async with self._kept.turn_of(operator):
            await self._revoke(name, cause)

    async def reinstate(self, name: str) -> tuple[str, str]:
        """Reinstate a party, unless it drifts or is suspended again before the realm is notified.

        Return the result of notifying the realm; and, for the record, the silent nodes that it ran at, which no longer
        hold it back.  Raises `Denied` while it has drifted, and if it is not registered.
        """
        self._party(name)
        if why := self._nodes.drifted().get(name):  # control: reinstated-without-drift
            other = self._ran.get(name) != self._approved_code(name)
            advice = f"{name} runs other code than what is now approved: `make down`, then `make up`."
            raise Denied(RegistryReason.DRIFTED, why, advice=advice if other else None)
        suspended = self.since(name)

        def still_meant(_cause: str | None = None) -> bool:
            # control: reinstated-still-without-drift
            return self.since(name) == suspended and name not in self._nodes.drifted()

        async with self._notifier.turn(self._subject(name)):
            if not still_meant():
                return f"{NOT_APPLICABLE}: it was suspended again", ""
            result = REINSTATED_ITSELF if name == self._own else await self._enable(name)
            nodes = await self._nodes.forget(name)
            await self._stream.change("party", self._id(name), None, where=still_meant)
            if cause := self.cause(name):  # it was suspended again, which has to be the realm's last notification
                await self._revoke(name, cause)
                self._notifier.notify_later(self._subject(name))
        return result, f"without node {', '.join(nodes)}" if nodes else ""

    async def _revoke(self, name: str, cause: str) -> None:
        without = self._own, self._stream.snapshot.registry.authorities.attestation
        await self._stream.change("party", self._id(name), cause, pending=name not in without)

    async def _enable(self, name: str) -> str:
        try:
            await self._realm.enable_client(self._id(name))
        except UnknownError as error:
            return f"{NOT_APPLICABLE}: {error}"
        except AdministrationError as error:
            return f"{UNCONFIRMED}: {error}"
        return NOTIFIED

    def cause(self, name: str) -> str | None:
        return self._kept.revoked.get(self._subject(name))

    def since(self, name: str) -> float | None:
        """Return when a party was suspended, in seconds since the epoch; None if it is not."""
        return self._kept.since.get(self._subject(name))

    def names(self) -> list[str]:
        """Return the parties, and the outside servers that tokens are sent to."""
        registry = self._stream.snapshot.registry
        return [*registry.parties, *(name for name, server in registry.outside.items() if server.takes_tokens)]

    def describe(self, name: str) -> dict[str, Any]:
        """Return a party as operators see it.  Raises `Denied`."""
        snapshot = self._stream.snapshot
        party, approved, server = self._party(name), snapshot.approved.get(name), snapshot.outside.get(name)
        cause, drifted = self.cause(name), self._nodes.drifted()
        otherwise = "active" if party or server else "not enrolled"
        return {
            "name": name,
            "id": self._id(name),
            "keycloak": party.keycloak if party else "audience",
            "starts_chains": bool(party and party.starts_chains),
            "state": "drifted" if name in drifted else "suspended" if cause else otherwise,
            "cause": drifted.get(name) or cause,
            "since": self.since(name),
            "follows_until": self._stream.follows_until(self._id(name)),
            "code": approved.code if approved else None,
            "card": approved.card if approved else None,
            "tools": dict(approved.tools) if approved else {},
            "key": server.spki_sha256 if server else None,
            "may_call": party.may_call if party else [],
            "delegates": party.delegates if party else [],
        }

    def _approved_code(self, name: str) -> str | None:
        approved = self._stream.snapshot.approved.get(name)
        return approved.code if approved else None

    def _party(self, name: str) -> Party | None:
        """Return the party of that name; None for an outside server.  Raises `Denied` if there is neither."""
        if name not in self.names():
            raise Denied(RegistryReason.NO_SUCH_PARTY, name)
        return self._stream.snapshot.registry.parties.get(name)

    def _subject(self, name: str) -> Revocable:
        return "party", self._id(name)

    def _id(self, name: str) -> str:
        return self._stream.snapshot.registry.id(name)
