"""The pages, rendered on the server: what comes from records, tokens and people is text, whatever it has in it."""

import mimetypes
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from console.sessions import Session
from zerotrust.decision import Denied, Reason
from zerotrust.registry.model import OPERATORS
from zerotrust.transport.responses import DeniedResponse

SCREENS = [("/", "Tasks"), ("/parties", "Parties"), ("/before", "Before and after")]
"""The address and the name of each screen in the header; a page names its own by `{% set screen = … %}`."""
OF_OPERATORS = {"/parties"}

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
for _name in _TEMPLATES.list_templates():
    _TEMPLATES.get_template(_name)  # as it is when this process starts, like the files below
_STATIC = {file.name: file.read_bytes() for file in (_HERE / "static").iterdir()}
"""The files that pages refer to, as they were when this process started."""

_REASONS = orjson.loads(_STATIC["reasons.json"])

_NEXT = {
    400: "Begin again: what was sent cannot be used.",
    401: "Sign in. What you have sent was not taken.",
    403: "Open the page again, and send its form from there.",
    404: "No page has this address, or it is a task of somebody else, or an older one. Choose one from the list.",
    413: "Go back, and shorten it: a request has at most 10,000 characters.",
    429: "Wait a few seconds, then load the page again.",
    503: "Try again in a moment.",
}
"""What a person does next, by the status of a refusal."""


def page(session: Session | None, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page, with the header for the person of a session, or for a stranger."""
    if session:
        operator = OPERATORS in session.tokens.principal.groups
        values["screens"] = [one for one in SCREENS if operator or one[0] not in OF_OPERATORS]
        values |= {"user": session.tokens.name, "form_token": session.form_token}
    return HTMLResponse(_TEMPLATES.get_template(f"{name}.html").render(values), status)


def static(name: str) -> Response:
    """Return a file that pages refer to.  Raises `HTTPException`."""
    if (content := _STATIC.get(name)) is None:
        raise HTTPException(404)
    return Response(content, media_type=mimetypes.types_map.get(Path(name).suffix, "application/octet-stream"))


def refused(refusal: Denied, scope: Scope) -> Response:
    """Return a refusal: to a browser that opens a page as a page, and to a script as the problem object."""
    if "text/html" not in Headers(scope=scope).get("accept", ""):
        return DeniedResponse(refusal)
    reason, session = refusal.public_reason, scope.get("state", {}).get("session")
    why = "" if reason is Reason.APPLICATION_ERROR else _REASONS.get(reason, "")
    return page(session, "refused", refusal.status, why=why, next=_NEXT.get(refusal.status, ""))
