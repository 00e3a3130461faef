"""The parties, and what operators do about them: orders to the registry, stopwatches, and what is on record.

The console knows what the page shows as every party does, by the registry's feed and the log.  An order goes to the
registry with the operator's own token, of a second sign-in: the registry decides about it and records it in the
operator's name, and so the console can do nothing that its user could not.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from console.log import EVERY, LogReader
from console.oversight import Oversight, Row
from console.pages import REASONS, page
from console.run import calling_as
from console.sessions import ConsoleReason, Session, Sessions
from console.sign_in import Signed, admit_operator
from console.stream import LONGEST, PING, RETRY
from console.thief import Thief
from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal
from zerotrust.limits.strict_json import strict_object
from zerotrust.service import Service


def view_of(service: Service, oversight: Oversight, thief: Thief, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows.  A text of another party stands alone, so that it imitates nothing else.

    `names`: of people who have signed in here, by their ids.
    """

    def rows(some: Iterable[Row]) -> list[list[str | float]]:
        return [[at, what, target, names.get(by, by), why] for at, what, target, by, why in reversed([*some])]

    registry, revoked = service.registry, service.revocations.revoked
    parties = {registry.id(name): name for name in (*registry.parties, *registry.outside)}
    suspended = {parties[id_]: why for (kind, id_), why in revoked.items() if kind == "party" and id_ in parties}
    return {
        "suspended": suspended,
        "admitted": {name: last for name, last in oversight.admitted.items() if name in suspended},
        "asked": oversight.asked,
        "target": oversight.target,
        "ended": oversight.ended,
        "took": {**oversight.took},
        "until": thief.until,
        "serves": {**thief.serves},
        "ids": [f"{kind} {names.get(id_, id_)}" for kind, id_ in thief.ids.items()],
        "changes": rows(oversight.changes),
        "rules": [[*row, "\n".join(oversight.differences.get(str(row[2]), ()))] for row in rows(oversight.rules)],
        "alarms": rows(oversight.alarms),
    }


def operator_of(service: Service, session: Session) -> Principal:
    """Return who may send orders from a session, with the token for that.  Raises `Denied`."""
    operator = session.operator  # control: operator-signs-in-again
    if operator is None or operator.expires_at <= service.clock():
        raise Denied(ConsoleReason.OPERATOR_NOT_SIGNED_IN)
    return operator


async def ask(
    service: Service, operator: Principal, method: str, path: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    """Return what the registry answers to an operator.  Raises `Denied`."""
    url = f"{service.registry.address(service.registry.authorities.registry)}{path}"
    try:
        with calling_as(operator):
            answer = await service.egress.http.request(method, url, json=body)
        return answer.status_code, strict_object(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise Denied(Reason.PEER_UNAVAILABLE, type(error).__name__) from error


def add_operator_routes(
    app: FastAPI, service: Service, reader: LogReader, oversight: Oversight, sessions: Sessions
) -> None:
    """Add `/parties` with its events, `/operate` and `/probe`."""
    thief = Thief()

    async def shown(session: Session, told: str = "", status: int = 200) -> Response:
        registry, until = service.registry, 0
        parties: list[dict[str, Any]] = [{"name": name, "id": registry.id(name)} for name in registry.parties]
        with suppress(Denied):  # without an operator's token, there is less to show
            found, answer = await ask(service, operator := operator_of(service, session), "GET", "/parties")
            if found == 200:
                parties, until = answer["parties"], operator.expires_at
        known = {"registry": registry, "approved": service.snapshot.approved, "parties": parties, "until": until}
        return page(session, "parties", status, **known, told=told, thief=thief.socket is not None)

    @app.get("/parties")
    async def parties(session: Signed) -> Response:
        await admit_operator(service)
        return await shown(session)

    @app.get("/parties/events")
    async def events(session: Signed) -> Response:
        await admit_operator(service)
        return EventSourceResponse(views(session), ping=PING)

    async def views(session: Session) -> AsyncIterator[JSONServerSentEvent]:
        before, end = None, time.monotonic() + LONGEST
        while time.monotonic() < end and session.open:
            reader.look()
            if (now := {"problem": reader.problem, **view_of(service, oversight, thief, sessions.names)}) != before:
                yield JSONServerSentEvent(before := now, event="view", retry=RETRY)
            await asyncio.sleep(EVERY)

    @app.post("/operate")
    async def operate(request: Request, session: Signed) -> Response:
        await admit_operator(service)
        form, operator = request.state.form, operator_of(service, session)
        what = form.get("withdraw") or form.get("reinstate", "")
        kind, _, name = (form.get("what", "") if what == "what" else what).strip().partition(" ")
        withdraws, body = "withdraw" in form, {"cause": form.get("cause", "").strip()}
        if kind == "party":
            if name not in service.registry.parties and name not in service.registry.outside:  # it becomes a path
                raise HTTPException(400)
            path = f"/parties/{name}/{'suspend' if withdraws else 'reinstate'}"
        else:
            path, body = "/revocations" if withdraws else "/reinstatements", {"kind": kind, "name": name, **body}
        status, answer = await ask(service, operator, "POST", path, body)
        if status == 200 and answer.get("keycloak") == "notified":
            return RedirectResponse("/parties", 303)
        reason = str(answer.get("reason"))
        refused = f"Refused: {answer.get('advice') or REASONS.get(reason, reason)}"
        return await shown(session, f"Keycloak: {answer['keycloak']}" if status == 200 else refused, status)

    @app.post("/probe")
    async def probe() -> Response:
        await admit_operator(service)
        thief.probe()
        return RedirectResponse("/parties", 303)
