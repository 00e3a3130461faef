"""The pages, rendered on the server: what comes from records, tokens and people is text, whatever it has in it."""

import mimetypes
from pathlib import Path
from typing import Any

import orjson
from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.sessions import Session
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.registry.model import OPERATORS
from zerotrust.transport.responses import DeniedResponse, headers_of

_HERE = Path(__file__).parent
# All files are read when this process starts, as its code is.
_TEMPLATES = Environment(
    loader=DictLoader({file.name: file.read_text() for file in (_HERE / "templates").iterdir()}),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STATIC = {file.name: file.read_bytes() for file in (_HERE / "static").iterdir()}
REASONS = {**orjson.loads(_STATIC["reasons.json"]), Reason.APPLICATION_ERROR: ""}
"""The meaning of each reason, in words."""
_NEXT = {
    401: "Sign in.",
    403: "Open the page again, and send its form from there.",
    404: "No page has this address, or it is another user's task, or it is too old. Choose one from the list.",
    429: "Wait a few seconds, then load the page again.",
    503: "Try again in a moment.",
}
"""A person's next step, by the status of a refusal; at all others, begin again."""


def page(session: Session | None, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page, with the header for the person of a session, or for a stranger."""
    if session and session.open:
        values |= {"user": session.name, "form_token": session.form_token}
        values["operates"] = OPERATORS in session.principal.groups
    values.setdefault("problem", "")
    return HTMLResponse(_TEMPLATES.get_template(f"{name}.html").render(values), status)


def static(name: str) -> Response:
    """Return a file that pages refer to.  Raises `HTTPException`."""
    if (content := _STATIC.get(name)) is None:
        raise HTTPException(404)
    return Response(content, media_type=mimetypes.types_map.get(Path(name).suffix))


def refused(refusal: Denied, request: Request) -> Response:
    """Return a refusal: to a browser that opens a page as a page, and to a script as the problem object."""
    if "text/html" not in request.headers.get("accept", ""):
        return DeniedResponse(refusal)
    told = {"why": REASONS.get(refusal.public_reason, ""), "next": _NEXT.get(refusal.status, "Begin again.")}
    if refusal.status == 401 and request.state.session:
        told["why"] = "An operator, a sign-out elsewhere or a long pause has ended your session."
    if refusal.status == 401 and request.method != "GET":
        told["next"] += " Your input was not accepted."
    answer = page(request.state.session, "refused", refusal.status, **told)
    answer.raw_headers += headers_of(refusal, REQUEST.get().form)
    return answer
