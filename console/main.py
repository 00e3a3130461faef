"""Console: shows people what happened, from the records of all parties, and lets them start tasks of their own.

It has no rights of its own beyond reading the audit log, as every party has.  The policies decide what it shows to a
person, and it calls the orchestrator with that person's own token.
"""

from contextlib import suppress
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from console.admission import MAX_FORM, Admission
from console.answers import add_answer_routes
from console.comparison import add_comparison_route
from console.hops import Known
from console.log import LogReader
from console.oversight import Oversight
from console.pages import refused, static
from console.parties import add_operator_routes
from console.run import Runs
from console.sessions import Sessions
from console.sign_in import Issuer, add_sign_in_routes
from console.task_pages import add_task_routes
from console.tasks import Tasks
from console.tokens import add_token_routes
from zerotrust.audit.record import event_of
from zerotrust.decision import Denied
from zerotrust.gate import Gate
from zerotrust.routes import Public
from zerotrust.runtime import run
from zerotrust.service import Service
from zerotrust.transport.responses import ApplicationError


def create_app(service: Service) -> ASGIApp:
    """Return the console, guarded."""
    sessions, issuer, oversight = Sessions(), Issuer(service), Oversight(lambda: service.registry)

    def known() -> Known:
        calls = {name: party.may_call for name, party in service.registry.parties.items()}
        approved = {name: one.code for name, one in service.snapshot.approved.items()}
        return Known(calls, approved, *service.rules)

    tasks = Tasks(service.registry.id(issuer.front), service.registry.id(service.name), known)

    def take(number: int, entry: bytes) -> None:
        with suppress(ValueError, LookupError):  # no record of this schema, or about a party that is registered no more
            tasks.take(number, event := event_of(entry), entry)
            oversight.take(event)

    reader = LogReader(service, take)
    runs = Runs(service, issuer)
    app = service.app()
    # The admission answers for what handlers refuse, and only counts it if nobody is signed in.
    del app.exception_handlers[Denied]  # control: strangers-only-counted

    @app.exception_handler(HTTPException)
    async def answer(request: Request, error: HTTPException) -> Response:
        return refused(ApplicationError(error.status_code), request)

    add_sign_in_routes(app, service, sessions, issuer)
    add_comparison_route(app, service)
    add_task_routes(app, service, reader, tasks, runs, sessions)
    add_token_routes(app, service, reader, tasks)
    add_operator_routes(app, service, reader, oversight, sessions)
    add_answer_routes(app, service, issuer, runs)

    @app.get("/static/{name}")
    async def file(name: str) -> Response:
        return static(name)

    # The gate knows no credential of a browser: the admission says who may pass.
    served = [(method, at.path) for at in app.routes if isinstance(at, APIRoute) for method in at.methods or ()]
    gate = cast("Gate", service.guard(app, dict.fromkeys(served, Public(max_body=MAX_FORM))))
    app.add_middleware(Admission, gate=gate, sessions=sessions, issuer=issuer)
    return gate


if __name__ == "__main__":
    run("console", create_app)
