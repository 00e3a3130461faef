"""Serves the AuthZEN API to workloads, by their certificates.  `authzen_api.py` answers; here is HTTP only.

An admitted call is not recorded: the enforcement point has the decision in its own journal.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from authorities.policy.authzen import BadRequest, Fields, parse_body
from authorities.policy.authzen_api import (
    EVALUATION,
    EVALUATIONS,
    METADATA,
    DecisionPoint,
    evaluation,
    evaluations,
    metadata,
)
from zerotrust.hardening.turns import Turns
from zerotrust.routes import MutualTLS, Routes

MAX_REQUEST = 128 * 1024
"""Bytes of a request: 100 questions, each with a resource of a kilobyte."""
IN_A_PASS = 4
"""Questions in batches of one caller that are decided in one pass of the event loop: up to 2 ms of work."""
ROUTES: Routes = {
    ("GET", METADATA): MutualTLS(any_workload=True, routine=True),
    **{
        ("POST", path): MutualTLS(any_workload=True, routine=True, raw_body=True, max_body=MAX_REQUEST)
        for path in (EVALUATION, EVALUATIONS)
    },
}
_NO_STORE = {"cache-control": "no-store"}


def add_authzen_routes(app: FastAPI, point: Callable[[], DecisionPoint], address: str) -> None:
    """Add the routes of `ROUTES` to an app.

    `point` returns the decision point, or raises `Denied`.  `address`: this party's, as others call it.
    The questions of a batch are decided by turns, so that no caller's batches hold up what else this party does.
    """

    turns = defaultdict[str | None, Turns](lambda: Turns(IN_A_PASS))

    @app.get(METADATA)
    async def configuration() -> Response:
        return JSONResponse(metadata(address), headers=_NO_STORE)

    @app.post(EVALUATION)
    async def evaluate(request: Request) -> Response:
        return await _answer(request, lambda fields: evaluation(point(), fields))

    @app.post(EVALUATIONS)
    async def evaluate_batch(request: Request) -> Response:
        turn = turns[request.state.peer.id].wait
        return await _answer(request, lambda fields: evaluations(point(), fields, turn))


async def _answer(request: Request, answering: Callable[[Fields], Awaitable[dict[str, Any]]]) -> Response:
    """Return the answer to a request, with the caller's `X-Request-ID` (section 10.1.3)."""
    known = {"x-request-id": found} if (found := request.headers.get("x-request-id")) is not None else {}
    try:
        fields = parse_body(request.headers.get("content-type", ""), await request.body())
        return JSONResponse(await answering(fields), headers={**_NO_STORE, **known})
    except BadRequest as error:
        return PlainTextResponse(str(error), 400, {**_NO_STORE, **known})
