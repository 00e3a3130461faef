"""The page "Before and after": the same attacks on figures 1 and 3 and on this system, as `make before` saw them."""

import asyncio
from pathlib import Path

from fastapi import FastAPI, Response
from pydantic import AwareDatetime, BaseModel

from console.pages import page
from console.sign_in import Signed
from zerotrust.service import Service

FILE = "before.json"
"""In the console's own folder; `make before` writes it."""


class Seen(BaseModel):
    """The outcome of an attack on one system."""

    succeeded: bool
    happened: str


class Attack(BaseModel):
    """One attack; `check` is what refuses it here, and `figure_3` is None where it was not tried there."""

    what: str
    check: str
    figure_1: Seen
    figure_3: Seen | None
    here: Seen


class Comparison(BaseModel):
    """All attacks, and when they were made."""

    at: AwareDatetime
    attacks: list[Attack]


def last(folder: Path) -> Comparison | None:
    """Return the last comparison, or None if there is none that can be read."""
    try:
        return Comparison.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None


def add_comparison_route(app: FastAPI, service: Service) -> None:
    """Add `/before`."""

    @app.get("/before")
    async def before(session: Signed) -> Response:
        return page(session, "comparison", found=await asyncio.to_thread(last, service.data))
