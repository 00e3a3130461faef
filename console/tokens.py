"""Shows the power of a task's tokens: T0, T1, T2 side by side from the records, and what a thief of the last gets.

The page describes each use of it, from the steps of the gate and the catalogue of attacks.  Where the thief of the
lab runs, a person may have it use one of its own tokens in that way (`console/thief.py`).
"""

from collections.abc import Callable, Sequence

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from console.log import LogReader
from console.pages import REASONS, page, static
from console.sessions import Session
from console.sign_in import Signed
from console.task_pages import admit_by
from console.tasks import Task, Tasks, as_resource
from console.thief import Thief, Used
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import short, token_name
from zerotrust.checks import STEPS, TOKEN
from zerotrust.context import current_trace
from zerotrust.service import Service

WAYS = orjson.loads(bytes(static("attacks.json").body))
"""The ways to use a token, by their ids: the row of the catalogue of attacks (`tests/attacks/catalogue.md`) with its
attack, the reason for which it is refused, the end of the button's words, and what the thief does."""
STEP_OF = {
    str(reason): (number, step.id, (step.take.__doc__ or "").partition(".  ")[0].replace("`", ""))
    for number, step in reversed([*enumerate(STEPS, 1)])
    if step.routes >= TOKEN
    for reason in step.reasons
}
"""The first step of the gate that refuses a token for a reason: its number and id, and what it does."""
CLAIMS: dict[str, Callable[[Caller], str]] = {
    "for": lambda token: short(token.audience),
    "scopes": lambda token: " ".join(token.scopes),
    "taken from": lambda token: f"{short(token.party)}, by its {'certificate' if '://' in token.party else 'key'}",
    "on behalf of": lambda token: token.subject,
    "through": lambda token: ", ".join(map(short, reversed(token.actors))) or "nobody: in person",
    "lifetime": lambda token: f"{(token.expires_at - token.issued_at) // MICROSECONDS} s",
    "id": lambda token: token.token_id,
}
"""A token's claims."""


def to_a_tool(tokens: Sequence[Caller]) -> list[Caller]:
    """Return the tokens of the way to the first tool that was called, from T0 on; without one, of the longest way."""
    known = {token.token_id: token for token in tokens}
    of_tools = [token for token in tokens if short(token.audience).startswith("tool/")]
    last = max(of_tools[:1] or tokens, key=lambda token: len(token.lineage), default=None)
    return [known[id_] for id_ in (*last.lineage, last.token_id) if id_ in known] if last else []


def add_token_routes(app: FastAPI, service: Service, reader: LogReader, tasks: Tasks) -> None:
    """Add the page of a task's tokens."""
    thief, admit = Thief(), admit_by(service)

    def find(id_: str) -> Task:
        if not (task := tasks.find(id_)):
            raise HTTPException(404)
        return task

    def shown(session: Session, task: Task, way: str = "", used: Used | None = None) -> Response:
        chain = to_a_tool([*task.tokens.values()])
        calls = {name: party.may_call for name, party in service.registry.parties.items()}
        names = [token_name(calls, token) for token in chain]
        told = {"claims": CLAIMS, "ways": WAYS, "meanings": REASONS, "step_of": STEP_OF, "steps": len(STEPS)}
        told |= {"task": task, "chain": chain, "names": names, "short": short, "me": session.principal.subject}
        told |= {"thief": thief.socket is not None, "way": way, "used": used, "trace": current_trace()}
        return page(session, "tokens", problem=reader.problem, **told)

    @app.get("/tasks/{id}/tokens")
    async def tokens(session: Signed, id: str) -> Response:
        await reader.catch_up()
        task = find(id)
        await admit(task)
        return shown(session, task)

    @app.post("/tasks/{id}/tokens")
    async def use(request: Request, session: Signed, id: str) -> Response:
        task, way = find(id), request.state.form.get("way", "")
        if way not in WAYS or thief.socket is None:
            raise HTTPException(404)
        # control: attack-as-permitted
        await service.decide("task.attack", as_resource(task), otherwise=HTTPException(404))
        return shown(session, task, way, await thief.use(way, session.principal.subject))
