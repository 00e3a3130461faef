"""The pages of tasks: the list, the form that starts one, and one of them hop by hop."""

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from console.log import LogReader
from console.pages import page
from console.run import Runs
from console.sessions import Session, Sessions
from console.settings import ConsoleSettings
from console.sign_in import Signed, session_of
from console.stream import PING, follow
from console.tasks import Task, Tasks, as_resource
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.decision import Resource
from zerotrust.registry.model import OPERATORS
from zerotrust.service import Service

SHOWN = 50
"""Tasks in the list of a person."""
PREPARED = "Summarise the incident reports of my department and file the result."
"""The request of the walkthrough: in engineering, one of these reports is poisoned."""


def admit_by(service: Service) -> Callable[[Task], Awaitable[bool]]:
    """Return what records that a person sees a task, or raises; and returns whether with the details of refusals."""

    async def admit(task: Task) -> bool:
        missing = HTTPException(404)  # another user's task and no task look the same
        await service.decide("task.view", as_resource(task), otherwise=missing)  # control: task-as-permitted
        return bool(await service.permitted("task.explain", [task], as_resource))

    return admit


def add_task_routes(  # noqa: PLR0913, PLR0917 - what its pages show
    app: FastAPI, service: Service, reader: LogReader, tasks: Tasks, runs: Runs, sessions: Sessions
) -> None:
    """Add `/` and `/tasks`."""
    admit, jaeger = admit_by(service), str(ConsoleSettings().jaeger or "").rstrip("/")

    async def seen_by(session: Session, id_: str) -> tuple[Task | None, bool]:
        """Return a task, and whether with the details of refusals; None if there is no record of what was started.

        Raises if the person may not see it.
        """
        if task := tasks.find(id_):
            return task, await admit(task)
        if not runs.find(session, id_):
            raise HTTPException(404)
        return None, False

    async def visible() -> list[Task]:
        """Return the tasks that the person may see, the newest first."""
        await reader.catch_up()
        # All that the policies know of a task is its owner, so each owner is asked about once.
        # control: listed-as-permitted
        owners = await service.permitted("task.view", tasks.owners, _tasks_of)
        return tasks.latest(owners)

    @app.get("/")
    async def home(request: Request) -> Response:
        if (session := await session_of(request)) is None:
            return page(None, "welcome")
        person = session.principal
        seen = [
            (task, _time(task.began), "you" if task.owner == person.subject else sessions.names.get(task.owner, ""))
            for task in (await visible())[:SHOWN]
        ]
        departments = sorted(person.groups.intersection(service.registry.departments))
        shown: dict[str, Any] = {"tasks": seen, "departments": departments, "operates": OPERATORS in person.groups}
        shown |= {"problem": reader.problem, "left_out": reader.left_out, "since": _time(reader.began * MICROSECONDS)}
        return page(session, "home", **shown, prepared=PREPARED)

    @app.post("/tasks")
    async def start(request: Request, session: Signed) -> Response:
        form = request.state.form
        if not (text := PREPARED if "prepared" in form else form.get("request", "").strip()):
            raise HTTPException(400)
        trace = await runs.start(session, text, form.get("department") or None)
        return RedirectResponse(f"/tasks/{trace}", 303)

    @app.get("/tasks/{id}")
    async def show(session: Signed, id: str) -> Response:
        await reader.catch_up()
        task, _ = await seen_by(session, id)
        id_, whose, time = (task.id, task.owner, _time(task.began)) if task else (id, session.principal.subject, "")
        own, owner = whose == session.principal.subject, sessions.names.get(whose, whose)
        return page(session, "task", task=task, id=id_, owner=owner, own=own, time=time, jaeger=jaeger)

    @app.get("/tasks/{id}/hops")
    async def hops(session: Signed, id: str, last_event_id: Annotated[str, Header()] = "") -> Response:
        after = int(last_event_id) if re.fullmatch(r"[0-9]{1,15}", last_event_id) else -1
        task, explained = await seen_by(session, id)
        told = follow(reader, tasks, runs, session, id, seen=task, explained=explained, after=after)
        return EventSourceResponse(told, ping=PING)


def _time(microseconds: float) -> str:
    return dt.datetime.fromtimestamp(microseconds / MICROSECONDS, dt.UTC).isoformat(timespec="seconds")


def _tasks_of(owner: str) -> Resource:
    return Resource("Task", f"any of {owner}", (("owner", owner),))
