"""Checks the name of a model, and keeps the model that the caller of an agent asks for.  Pure.

The caller of an agent may name a model in its message.  The agent passes the name on to the party that serves models,
which serves that model or refuses.  A name gives no right, and is checked like any text from outside.
"""

import re
from contextvars import ContextVar

DEFAULT_MODEL = "default"
"""The model that the deployment has; the answer names it."""
LONGEST_MODEL = 128
"""Characters of a model's name; those in use have up to 60."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_asked: ContextVar[str] = ContextVar("asked_model", default=DEFAULT_MODEL)


def model_name(given: object) -> str:
    """Return what was given, if it can be the name of a model.  Raises `ValueError`."""
    if not isinstance(given, str) or len(given) > LONGEST_MODEL or not _NAME.fullmatch(given):
        raise ValueError("not the name of a model")
    return given


def ask_for_model(name: str) -> None:
    """Let this task, and what it starts, ask for that model.  Raises `ValueError`."""
    _asked.set(model_name(name))


def requested_model() -> str:
    """Return the name of the model that this task is to ask for."""
    return _asked.get()
