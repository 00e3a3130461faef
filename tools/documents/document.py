"""A document, and how large one may be.  Pure."""

import secrets
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import to_json

from zerotrust.decision import Resource

MAX_TITLE, MAX_ID = 200, 64
"""Characters."""
MAX_TEXT = 64 * 1024
"""Bytes of a text as JSON, its quotation marks included.

An answer holds it twice, the second time as JSON within JSON, which at most doubles it: three times this and a few
kilobytes are a fifth of what a caller reads (`zerotrust/limits/answers.py`).
"""


def size(text: str) -> int:
    """Bytes of a text as JSON.  Raises `ValueError` where it cannot be written as UTF-8."""
    return len(to_json(text))


def _fitting(text: str) -> str:
    if size(text) > MAX_TEXT:  # control: document-size
        raise ValueError("too long")
    return text


Id = Annotated[str, Field(max_length=MAX_ID)]
Title = Annotated[str, Field(max_length=MAX_TITLE)]
Text = Annotated[str, Field(json_schema_extra={"maxLength": MAX_TEXT}), AfterValidator(_fitting)]


class Entry(BaseModel):
    """What is known of a document without reading it: a draft of its owner, or published for its department."""

    id: str
    title: str
    department: str
    state: str = "draft"
    owner: str

    def as_resource(self) -> Resource:
        """What the policies may know of it."""
        known = (("department", self.department), ("state", self.state), ("owner", self.owner))
        return Resource("Document", self.id, known)


class Document(Entry):
    """One document."""

    text: str


def absent(name: str) -> Document:
    """What stands for a document that does not exist, where it is decided who may touch it: nobody."""
    return Document(id=name, title="", department="", state="absent", owner="", text="")


def new_id() -> str:
    """An id that nobody can guess and that meets no other."""
    return f"DRAFT-{secrets.token_hex(4)}"
