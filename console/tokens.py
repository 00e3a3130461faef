"""What the tokens of a task can do: T0, T1, T2 side by side from the records, and what a thief of the last one gets.

Each way of using it is told in words, from the steps of the gate and the catalogue of attacks.  Where the thief of the
lab runs, a person may have it use one of its own tokens in that way (`console/thief.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from console.log import LogReader
from console.pages import page, static
from console.sessions import Session
from console.sign_in import Signed
from console.task_pages import admit_by
from console.tasks import Task, Tasks, as_resource
from console.thief import Thief
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import short, token_name
from zerotrust.checks import STEPS, TOKEN
from zerotrust.service import Service


class Way(NamedTuple):
    """A way to use a token: the row of the catalogue, the end of the button's words, and what the thief does."""

    row: str
    label: str
    told: str


WAYS = {
    "another-service": Way("27", "at another service", "A thief inside the reader sends T2 to the model."),
    "another-process": Way(
        "36", "from another process", "A thief inside the writer sends the reader's T2 to the tool."
    ),
    "too-late": Way("30", "a second too late", "A thief inside the reader sends T2 one second after its end."),
    "more-scope": Way(
        "58", "with one scope more", "A thief inside the reader asks Keycloak for a T2 that may also write."
    ),
    "after-sign-out": Way("81", "after the sign-out", "A thief inside the reader sends T2 after the user's sign-out."),
}
ROWS = orjson.loads(bytes(static("attacks.json").body))
"""The rows of the catalogue (`tests/attacks/catalogue.md`)."""
REASONS = orjson.loads(bytes(static("reasons.json").body))
STEP_OF = {
    str(reason): (number, step.id, (step.take.__doc__ or "").partition(".  ")[0].replace("`", ""))
    for number, step in reversed([*enumerate(STEPS, 1)])
    if step.routes >= TOKEN
    for reason in step.reasons
}
"""The first step of the gate that refuses a token for a reason: its number and id, and what it does."""
TOLD: dict[str, Callable[[Caller], str]] = {
    "taken from": lambda token: f"{short(token.party)}, by its {'certificate' if '://' in token.party else 'key'}",
    "on behalf of": lambda token: token.subject,
    "through": lambda token: ", ".join(map(short, reversed(token.actors))) or "nobody: in person",
    "lifetime": lambda token: f"{(token.expires_at - token.issued_at) // MICROSECONDS} s",
    "id": lambda token: token.token_id,
}
"""What a token says, beside its scopes."""


def to_a_tool(tokens: Sequence[Caller]) -> list[Caller]:
    """Return the tokens of the way to the first tool that was called, from T0 on; without one, of the longest way."""
    known = {token.token_id: token for token in tokens}
    of_tools = [token for token in tokens if short(token.audience).startswith("tool/")]
    last = max(of_tools[:1] or tokens, key=lambda token: len(token.lineage), default=None)
    return [known[id_] for id_ in (*last.lineage, last.token_id) if id_ in known] if last else []


def side_by_side(chain: Sequence[Caller]) -> Iterator[tuple[str, list[tuple[str, bool, Sequence[str]]]]]:
    """Yield the lines of a table, each with a cell for each token: a text, whether it changed, and the scopes lost."""
    lost = [(), *(sorted({*before.scopes} - {*after.scopes}) for before, after in pairwise(chain))]
    yield "scopes", [(" ".join(one.scopes), bool(gone), gone) for one, gone in zip(chain, lost, strict=True)]
    for what, tell in TOLD.items():
        texts = [tell(token) for token in chain]
        yield what, [(text, number > 0 and text != texts[number - 1], ()) for number, text in enumerate(texts)]


def explained(reason: str) -> dict[str, Any]:
    """Return what a reason means, and which step of the gate refuses for it; None if no step does."""
    return {"reason": reason, "meaning": REASONS.get(reason, ""), "step": STEP_OF.get(reason), "steps": len(STEPS)}


def add_token_routes(app: FastAPI, service: Service, reader: LogReader, tasks: Tasks) -> None:
    """Add the page of a task's tokens."""
    thief, admit = Thief(), admit_by(service)

    def find(id_: str) -> Task:
        if not (task := tasks.find(id_)):
            raise HTTPException(404)
        return task

    def shown(session: Session, task: Task, used: Mapping[str, Any] | None = None) -> Response:
        chain = to_a_tool([*task.tokens.values()])
        calls = {name: party.may_call for name, party in service.registry.parties.items()}
        return page(
            session,
            "tokens",
            me=session.tokens.principal.subject,
            task=task,
            names=[(token_name(calls, token), short(token.audience)) for token in chain],
            table=[*side_by_side(chain)],
            last=chain[-1] if chain else None,
            short=short,
            ways={id_: (way, ROWS[way.row], explained(ROWS[way.row]["outcome"])) for id_, way in WAYS.items()},
            thief=thief.socket is not None,
            used=used,
            outcome=used and explained(used["reason"]),
        )

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
        used = await thief.use(way, session.tokens.principal.subject)
        return shown(session, task, {**used, "way": way})
