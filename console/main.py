"""Console: shows people what happened, from the records of all parties, and lets them start tasks of their own.

It has no rights of its own beyond reading the audit log, as every party has.  What it shows to a person is decided by
the policies, and it calls the orchestrator with that person's own token.
"""

import re
from typing import Annotated, Any

from fastapi import Header, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from console.admission import MAX_FORM, Admission
from console.comparison import add_comparison_route
from console.issuer import Issuer
from console.log import LogReader
from console.pages import page, static
from console.run import Runs
from console.sessions import Session, Sessions
from console.sign_in import add_sign_in_routes, session_needed, session_of
from console.stream import Streams
from console.tasks import Task, Tasks
from zerotrust.audit.counts import CallCounter
from zerotrust.decision import Resource
from zerotrust.routes import Public, Routes
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {  # the gate knows no credential of a browser: `admission.py` says who may pass
    ("GET", "/"): Public(),
    ("GET", "/health"): Public(),
    ("GET", "/sign-in"): Public(),
    ("GET", "/operate/sign-in"): Public(),
    ("GET", "/callback"): Public(),
    ("POST", "/sign-out"): Public(),
    ("POST", "/tasks"): Public(max_body=MAX_FORM),
    ("GET", "/tasks/{id}"): Public(),
    ("GET", "/tasks/{id}/hops"): Public(),
    ("GET", "/before"): Public(),
    ("GET", "/static/{name}"): Public(),
}
SHOWN = 50
"""Tasks in the list of a person."""


def create_app(service: Service) -> ASGIApp:
    """Return the console, guarded."""
    sessions, issuer, counter = Sessions(), Issuer(service), CallCounter(service.recorder)
    tasks = Tasks(service.registry.id(issuer.front), service.registry.id(service.name))
    reader = LogReader(service, tasks.take)
    runs, streams = Runs(service, issuer), Streams(reader, tasks, service.revocations)
    app = service.app(reader.running(), runs.running())

    @app.get("/")
    async def home(request: Request) -> Response:
        if (session := session_of(request)) is None:
            return page("welcome")
        await reader.catch_up()
        latest = tasks.latest()
        # All that the policies know of a task is its owner, so each owner is asked about once.
        # control: listed-as-permitted
        owners = await service.permitted("task.view", {one.owner for one in latest}, _tasks_of)
        seen = [one for one in latest if one.owner in owners]
        departments = sorted(session.tokens.principal.groups.intersection(service.registry.departments))
        return _page("home", session, tasks=seen[:SHOWN], departments=departments, problem=reader.problem)

    add_sign_in_routes(app, service, sessions, issuer, counter)
    add_comparison_route(app, service)

    @app.post("/tasks")
    async def start(request: Request) -> Response:
        form = request.state.form
        if not (text := form.get("request", "").strip()):
            raise HTTPException(400)
        trace = await runs.start(session_needed(request), text, form.get("department") or None)
        return RedirectResponse(f"/tasks/{trace}", 303)

    async def admit(task: Task) -> bool:
        """Record that the person sees a task, or raise.  Return whether with the details of refusals."""
        missing = HTTPException(404)  # another user's task and no task look the same
        await service.decide("task.view", _as_resource(task), otherwise=missing)  # control: task-as-permitted
        return bool(await service.permitted("task.explain", [task], _as_resource))

    @app.get("/tasks/{id}")
    async def show(request: Request, id: str) -> Response:
        session = session_needed(request)
        await reader.catch_up()
        if task := tasks.find(id):
            await admit(task)
        elif id not in session.runs:
            raise HTTPException(404)
        return _page("task", session, id=id, task=task)

    @app.get("/tasks/{id}/hops")
    async def hops(request: Request, id: str, last_event_id: Annotated[str, Header()] = "") -> Response:
        session = session_needed(request)
        after = int(last_event_id) if re.fullmatch(r"[0-9]{1,15}", last_event_id) else -1
        explained = await admit(task) if (task := tasks.find(id)) else None
        if not task and id not in session.runs:
            raise HTTPException(404)
        return streams.follow(session, id, after, admit, explained=explained)

    @app.get("/static/{name}")
    async def file(name: str) -> Response:
        return static(name)

    standing = service.revocations
    app.add_middleware(Admission, sessions=sessions, issuer=issuer, revocations=standing, counter=counter)
    return service.guard(app, ROUTES)


def _page(name: str, session: Session, **values: Any) -> Response:
    return page(name, user=session.tokens.name, form_token=session.form_token, **values)


def _as_resource(task: Task) -> Resource:
    return Resource("Task", task.id, (("owner", task.owner),))


def _tasks_of(owner: str) -> Resource:
    return Resource("Task", f"any of {owner}", (("owner", owner),))


if __name__ == "__main__":
    run("console", create_app)
