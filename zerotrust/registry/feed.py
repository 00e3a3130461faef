"""Keeps a party's standing fresh: follows the registry's stream of what exists and what is revoked.

Each line is signed by the registry: its document, or a security event token (RFC 8417).  A single revocation is an
event in the manner of CAEP and RISC; all others are of our own types.  This is no SSF stream: it is delivered as this
module says, not by RFC 8935 or 8936, and nobody subscribes.
On whatever is amiss the stream is dropped and begun anew, with the whole state first; until that has come, nothing is
known, and so nothing is allowed.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, get_args

import httpx
import orjson

from zerotrust.registry.snapshot import SNAPSHOT_TYPE, RegistrySnapshot, parse_snapshot, signer
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Kind, Revocable
from zerotrust.spiffe.statement import InvalidStatement, statement_type, verify_statement
from zerotrust.spiffe.svid import Svid
from zerotrust.spiffe.workload import WorkloadError

EVENT_TYPE = "secevent+jwt"
PATH = "/signals"

_REVOKED = {
    "party": "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "user": "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "session": "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "token": "https://schemas.openid.net/secevent/oauth/event-type/token-revoked",
    "before": "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked",
}
_REINSTATED = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"
_CHANGES = "tag:agents.example,2026:event-type/changes"
_STATE = "tag:agents.example,2026:event-type/state"
_HEARTBEAT = "tag:agents.example,2026:event-type/heartbeat"

SECONDS_BETWEEN_TRIES = 0.2

log = logging.getLogger(__name__)


def changed(issuer: str, number: int, subject: Revocable, cause: str | None) -> bytes:
    """A security event token's payload: this subject was revoked, or with no cause reinstated."""
    kind, name = subject
    event = {"number": number, "cause": cause} if cause else {"number": number}
    return _event(issuer, _REVOKED[kind] if cause else _REINSTATED, event, {"format": "opaque", "id": f"{kind} {name}"})


def all_changed(issuer: str, number: int, changes: Sequence[tuple[Revocable, str | None]]) -> bytes:
    """The same of several subjects in one: `number` is that of the first, and each following one has the next."""
    if len(changes) == 1:
        return changed(issuer, number, *changes[0])
    return _event(issuer, _CHANGES, {"number": number, "changes": [[*of, cause] for of, cause in changes]})


def state(issuer: str, number: int, revoked: Mapping[Revocable, str], part: int = 1, parts: int = 1) -> bytes:
    """One of the parts of the whole state as of change `number`, counted from 1."""
    entries = [[*subject, cause] for subject, cause in revoked.items()]
    return _event(issuer, _STATE, {"number": number, "part": part, "parts": parts, "revoked": entries})


def heartbeat(issuer: str, number: int, sources: Mapping[str, float]) -> bytes:
    """`number` was the last change; each source was read completely so many seconds ago."""
    return _event(issuer, _HEARTBEAT, {"number": number, "sources": dict(sources)})


def audience(party: str) -> str:
    """Whom the registry's word is for: everybody of its trust domain, by the SPIFFE ID of that."""
    return f"spiffe://{party.removeprefix('spiffe://').partition('/')[0]}"


def _event(issuer: str, kind: str, event: Mapping[str, Any], subject: Mapping[str, str] | None = None) -> bytes:
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience(issuer),
        "iat": time.time(),  # to the fraction: how late a heartbeat comes counts (RFC 7519 section 2)
        "jti": secrets.token_hex(8),
        "events": {kind: event},
    }
    return orjson.dumps(claims | ({"sub_id": subject} if subject else {}))


def apply_event(revocations: Revocations, claims: Mapping[str, Any], *, now: float) -> None:
    """Apply one verified event; `now` in seconds since the epoch.

    Raises `Gap`, and `InvalidStatement` for what is none of ours.
    """
    try:
        ((kind, event),) = claims["events"].items()
        number = event["number"]
        if kind == _STATE:
            revoked = {(_kind(of), str(name)): str(cause) for of, name, cause in event["revoked"]}
            return revocations.replace(number, revoked, event["part"], event["parts"])
        if kind == _CHANGES:
            for later, (of, name, cause) in enumerate(event["changes"]):
                revocations.change(number + later, (_kind(of), str(name)), str(cause) if cause else None)
            return None
        if kind == _HEARTBEAT:
            # As of when it was said: whoever holds the stream back gains nothing.
            return revocations.confirm(
                number, max(event["sources"].values(), default=0.0) + max(0.0, now - claims["iat"])
            )
        of, _, name = claims["sub_id"]["id"].partition(" ")
        if kind != (_REVOKED[of] if "cause" in event else _REINSTATED):
            raise ValueError(kind)
        return revocations.change(number, (_kind(of), name), event.get("cause"))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidStatement(f"no event of ours: {error}") from error


def _kind(name: Any) -> Kind:
    if name not in get_args(Kind):
        raise ValueError(f"{name!r} cannot be revoked")
    kind: Kind = name
    return kind


class RegistryFeed:
    """The registry's word, followed for as long as the app runs."""

    def __init__(
        self, address: str, *, http: httpx.AsyncClient, identity: Callable[[], Svid], revocations: Revocations
    ) -> None:
        """`http` speaks to the registry and nobody else; `identity` gives the current SVID."""
        self._url, self._http, self._identity, self.revocations = f"{address}{PATH}", http, identity, revocations
        self._known: RegistrySnapshot | None = None
        self._complete = asyncio.Event()
        self._use: Callable[[RegistrySnapshot], None] | None = None

    @property
    def known(self) -> RegistrySnapshot:
        """What the registry said last."""
        assert self._known  # noqa: S101 - `opened` waits for it
        return self._known

    def on_change(self, use: Callable[[RegistrySnapshot], None]) -> None:
        """Have `adopt` called with each new version.  While that raises anything, nothing is known."""
        self._use = use

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Wait until everything has been heard once, however long the registry takes; then follow."""
        following = asyncio.create_task(self._follow())
        try:
            await self._complete.wait()
            yield
        finally:
            following.cancel()

    async def _follow(self) -> None:
        told, loop = "", asyncio.get_running_loop()
        while True:
            next_try = loop.time() + SECONDS_BETWEEN_TRIES
            try:
                await self._listen()
                why = "the stream has ended"
            except (httpx.HTTPError, TimeoutError, WorkloadError) as error:  # what is known ages, and then is nothing
                why = f"{type(error).__name__} {error}"
            except Exception as error:  # noqa: BLE001 - a gap, a forgery, a version that cannot be adopted, our mistake:
                self.revocations.forget()  # what is known here may not be all there is
                why = f"{type(error).__name__} {error}"
            if why != told:
                log.warning("no word from %s: %s", self._url, why)
            told = why
            # A stream ends with the certificates of its connection: what is revoked just then must not wait.
            await asyncio.sleep(next_try - loop.time())

    async def _listen(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(
                self.revocations.bound
            ):  # whoever is not there does not refuse: nothing comes back
                answer = await stack.enter_async_context(self._http.stream("GET", self._url))
            if answer.status_code != 200:
                raise httpx.RemoteProtocolError(f"status {answer.status_code}")
            lines = answer.aiter_lines()
            while True:
                async with asyncio.timeout(self.revocations.bound):
                    line = await anext(lines, None)
                if line is None:
                    return
                self._take(line)
                await asyncio.sleep(0)  # also where the next line is here already: others are waiting

    def _take(self, line: str) -> None:
        svid = self._identity()
        kind = statement_type(line)
        said = verify_statement(line, kind=kind, signer=signer(svid.trust_domain), own=svid, now=time.time())
        if kind == SNAPSHOT_TYPE:
            known = parse_snapshot(said)
            # A stream that begins anew says the same again: connections and what is remembered need not go for that.
            if self._use and known != self._known:
                self._use(known)
            self._known, self.revocations.bound = known, known.registry.freshness.revocations
        elif kind == EVENT_TYPE and self._known:
            if said.get("aud") != audience(svid.id):
                raise InvalidStatement(f"an event for {said.get('aud')}")
            apply_event(self.revocations, said, now=time.time())
            if self.revocations.fresh:
                self._complete.set()
        else:
            raise InvalidStatement(f"a statement of kind {kind}, which is none of ours")
