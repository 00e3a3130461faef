"""The parties, and what operators do about them: orders to the registry, stopwatches, and what is on record.

What the page shows is known to the console as to every party, by the registry's feed and the log.  An order goes to the
registry with the operator's own token, of a second sign-in: the registry decides about it and records it in the
operator's name, and so the console can do nothing that its user could not.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from console.log import EVERY, LogReader
from console.oversight import REVOKED, Change, Oversight, Withdrawal
from console.pages import page
from console.reasons import ConsoleReason
from console.sessions import Session, Sessions
from console.sign_in import Signed, admit_operator
from console.stream import LONGEST, PING, RETRY
from console.thief import Thief
from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

LONGEST_CAUSE = 80
"""Characters: a record has 200 for the subject, the cause and the operator."""
PROBED = 60
"""Seconds for which the thief calls: its tokens live as long."""
SHOWN = 20
"""Lines of each list."""
BY_OPERATOR = " (operator "
"""Before the id of an operator, in the registry's causes."""
AGENTS = "agent/reader", "agent/writer"
"""Through whom the thief has got its tokens."""
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
"""Of a version of the policies; people are shown the first digits."""
Sign = tuple[str, str]
"""A text, and its sign: granted, revoked, tampered, or none."""

log = logging.getLogger(__name__)


class Desk:
    """What operators see, and the thief's calls that are under way."""

    def __init__(self, service: Service, oversight: Oversight, sessions: Sessions, thief: Thief) -> None:
        self._service, self._oversight, self._sessions, self.thief = service, oversight, sessions, thief
        self._probing: asyncio.Task[None] | None = None
        self._began: dict[str, Any] = {}
        """The ids of the thief's session, token and user; empty if it calls nobody."""
        self._serves = dict[str, bool]()
        """Whether each service served the thief last."""
        self._view: tuple[float, dict[str, Any]] = 0.0, {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take the thief's answers during the block."""
        yield
        if self._probing:
            self._probing.cancel()

    def probe(self, agent: str) -> None:
        """Have the thief call every service with genuine tokens for a minute, unless it does already."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(agent))

    async def _probe(self, agent: str) -> None:
        order = {"order": "probe", "agent": agent, "seconds": PROBED}
        try:
            async with aclosing(self.thief.lines(order)) as lines:
                async for line in lines:
                    if line["event"] == "began":
                        self._began = line
                    elif line["event"] == "answer":
                        name = str(line["service"])
                        self._serves[name] = not line["refused"]
                        if line["reason"] in REVOKED:
                            self._oversight.refusals.append((name, float(line["at"]), "", "the thief"))
        except (Denied, LookupError, TypeError, ValueError) as error:
            log.warning("the thief has failed: %s", error)
        self._began, self._serves = {}, {}

    def operator_of(self, session: Session) -> Principal:
        """Return who may send orders from a session, with the token for that.  Raises `Denied`."""
        operator = session.operator  # control: operator-signs-in-again
        if operator is None or operator.expires_at <= self._service.clock():
            raise Denied(ConsoleReason.OPERATOR_NOT_SIGNED_IN)
        return operator

    async def ask(self, who: Principal, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Return what the registry answers to an operator.  Raises `Denied`."""
        registry = self._service.registry
        try:
            with calling_with(ExchangedToken(who.audience, who.token_id, who.expires_at, who.token)):
                url = f"{registry.address(registry.authorities.registry)}{path}"
                answer = await self._service.egress.http.request(method, url, json=body)
            return answer.status_code, strict_object(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            raise Denied(Reason.PEER_UNAVAILABLE, type(error).__name__) from error

    def view(self) -> dict[str, Any]:
        """Return what the page shows: `signs` by the name of a place, and the lines of each of the `lists`.

        All who watch share one view.
        """
        if time.monotonic() - self._view[0] > EVERY / 2:
            self._view = time.monotonic(), self._make_view()
        return self._view[1]

    def _make_view(self) -> dict[str, Any]:
        seen, registry = self._oversight, self._service.registry
        seen.note_rules(*self._service.rules)
        revoked, signs = self._service.revocations.revoked, dict[str, Sign]()
        for name in (*registry.parties, *registry.outside):
            cause = revoked.get(("party", registry.id(name)), "")
            signs |= {f"state {name}": _state(cause), f"why {name}": (self._named(cause), "")}
        last, took = seen.withdrawals[-1] if seen.withdrawals else None, seen.first_refusals()
        told = f"{_at(last.asked)}: {last.kind} {last.name}: {self._named(last.cause)}" if last else "nothing"
        signs["last"] = told, ""
        for name in registry.services:
            sign = "", ""  # not called since by anybody whom it concerns
            if name in took:
                sign = f"refused after {took[name][0]:,} ms, as {took[name][1]} shows", "refused"
            elif last and self._serves.get(name):
                sign = f"granted, {time.time() - last.asked:.1f} s so far", "granted"
            signs[f"point {name}"] = sign
        of_operators = {one: why for one, why in revoked.items() if one[0] in ("party", "user") or BY_OPERATOR in why}
        lists: dict[str, Iterable[str]] = {
            "thief": (f"{kind} {self._began[kind]}" for kind in ("session", "token", "user") if self._began),
            "revoked": (f"{kind} {name}: {why}" for (kind, name), why in reversed(of_operators.items())),
            "versions": (f"{name}: {version} since {_at(at)}" for name, (version, at) in seen.decides_by.items()),
            "rules": map(self._line, reversed(seen.rules)),
            "changes": map(self._line, reversed(seen.changes)),
            "alarms": map(self._line, reversed(seen.alarms)),
        }
        return {"signs": signs, "lists": {key: [*map(self._named, islice(all_, SHOWN))] for key, all_ in lists.items()}}

    def _line(self, change: Change) -> str:
        by = f" by {change.by}" if change.by else ""
        differ = self._oversight.differences.get(change.target.split()[1], "") if " " in change.target else ""
        target = DIGEST.sub(r"\1", change.target)
        return f"{_at(change.at)}: {change.action} {target}{by}: {change.cause}{differ and f'; changed: {differ}'}"

    def _named(self, text: str) -> str:
        """Return a text with the names of the people in it who have signed in here."""
        return re.sub(r"[^\s():]+", lambda word: self._sessions.names.get(word[0], word[0]), text)


def _state(cause: str) -> Sign:
    if not cause:
        return "active", ""
    return ("drifted", "tampered") if cause.startswith("drift: ") else ("suspended", "revoked")


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _order(kind: str, name: str, cause: str | None, parties: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return path and body of an order: to withdraw for this cause; without one, to reinstate.

    Raises `HTTPException` for anything else.
    """
    body = {} if cause is None else {"cause": cause}
    if cause is None or 0 < len(cause) <= LONGEST_CAUSE:
        if kind == "party" and name in parties:
            return f"/parties/{name}/{'reinstate' if cause is None else 'suspend'}", body
        if name and kind in ("user", "session", "token"):
            return "/reinstatements" if cause is None else "/revocations", {"kind": kind, "name": name, **body}
    raise HTTPException(400)


def add_operator_routes(app: FastAPI, service: Service, reader: LogReader, oversight: Oversight, desk: Desk) -> None:
    """Add `/parties` with its events, `/operate` and `/probe`."""

    async def shown(session: Session, told: str = "", status: int = 200) -> Response:
        registry, until = service.registry, 0
        parties = {name: {"id": registry.id(name), "follows_until": None} for name in registry.parties}
        with suppress(Denied):  # without an operator's token, there is less to show
            found, answer = await desk.ask(operator := desk.operator_of(session), "GET", "/parties")
            if found == 200:
                parties, until = {one["name"]: one for one in answer["parties"]}, operator.expires_at
        values: dict[str, Any] = {"view": desk.view(), "parties": parties, "approved": service.snapshot.approved}
        values |= {"people": registry.without_certificate, "at": _at, "until": until, "told": told}
        values |= {"agents": AGENTS, "problem": reader.problem}
        return page(session, "parties", status, **values, thief=desk.thief.socket is not None)

    @app.get("/parties")
    async def parties(session: Signed) -> Response:
        await admit_operator(service)
        await reader.catch_up()
        return await shown(session)

    @app.get("/parties/events")
    async def events(session: Signed) -> Response:
        await admit_operator(service)
        return EventSourceResponse(views(session), ping=PING)

    async def views(session: Session) -> AsyncIterator[JSONServerSentEvent]:
        before, end = None, time.monotonic() + LONGEST
        with reader.watching():
            while time.monotonic() < end and session.open:
                if (view := desk.view()) != before:
                    yield JSONServerSentEvent(before := view, event="view", retry=RETRY)
                await asyncio.sleep(EVERY)

    @app.post("/operate")
    async def operate(request: Request, session: Signed) -> Response:
        form = request.state.form
        await admit_operator(service)
        registry, withdraws = service.registry, "withdraw" in form
        what = form.get("withdraw") or form.get("reinstate", "")
        kind, _, name = (form.get("what", "") if what == "what" else what).strip().partition(" ")
        cause = form.get("cause", "").strip() if withdraws else None
        path, body = _order(kind, name, cause, {*registry.parties, *registry.outside})
        operator = desk.operator_of(session)
        told = f"{cause}{BY_OPERATOR}{operator.subject})"
        asked = Withdrawal(time.time(), kind, registry.id(name) if kind == "party" else name, told)
        if withdraws:  # now, because its first effect comes before the answer
            oversight.withdrawals.append(asked)
        status, answer = await desk.ask(operator, "POST", path, body)
        if status == 200 and answer.get("keycloak") == "notified":
            return RedirectResponse("/parties", 303)
        if status != 200 and withdraws:
            oversight.withdrawals.remove(asked)
        why = answer.get("advice") or answer.get("reason")
        return await shown(session, f"Keycloak: {answer['keycloak']}" if status == 200 else f"Refused: {why}", status)

    @app.post("/probe")
    async def probe(request: Request) -> Response:
        await admit_operator(service)
        desk.probe(request.state.form.get("agent", ""))
        return RedirectResponse("/parties", 303)
