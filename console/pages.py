"""The pages, rendered on the server: what comes from records, tokens and people is text, whatever it has in it."""

import mimetypes
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

SCREENS = [("/", "Tasks"), ("/before", "Before and after")]
"""The address and the name of each screen in the header; a page names its own by `{% set screen = … %}`."""

_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["screens"] = SCREENS
_STATIC = {file.name: file.read_bytes() for file in (_HERE / "static").iterdir()}
"""The files that pages refer to, as they were when this process started."""


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page."""
    return HTMLResponse(_TEMPLATES.get_template(f"{name}.html").render(values), status)


def static(name: str) -> Response:
    """Return a file that pages refer to.  Raises `HTTPException`."""
    if (content := _STATIC.get(name)) is None:
        raise HTTPException(404)
    return Response(content, media_type=mimetypes.types_map.get(Path(name).suffix, "application/octet-stream"))
