"""A document and its size limits.  Pure."""

import hashlib
import secrets
from typing import Annotated

import orjson
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import to_json

from zerotrust.decision import Resource

MAX_TITLE, MAX_ID = 200, 64
"""Characters of each: a search returns twenty titles, and the id that a caller asks for is recorded."""
INTERNAL = "internal"
"""The classification of a document that has no other, and of every draft."""
MAX_TEXT = 64 * 1024
"""Bytes of a text as JSON, including its quotation marks.

An answer contains it twice, the second time as JSON within JSON, which at most doubles it.  Three times this and a few
kilobytes are a fifth of what a caller accepts (`zerotrust/limits/answers.py`).
"""


def size(text: str) -> int:
    """Return the bytes of a text as JSON.  Raises `ValueError` if it cannot be encoded as UTF-8."""
    return len(to_json(text))


def _check_size(text: str) -> str:
    if size(text) > MAX_TEXT:  # control: document-size
        raise ValueError("too long")
    return text


Id = Annotated[str, Field(max_length=MAX_ID)]
Title = Annotated[str, Field(max_length=MAX_TITLE)]
Text = Annotated[str, Field(json_schema_extra={"maxLength": MAX_TEXT}), AfterValidator(_check_size)]


class Entry(BaseModel):
    """A document without its text.  It is a draft of its owner, or published for its department."""

    id: str
    title: str
    department: str
    state: str = "draft"
    owner: str
    classification: str = INTERNAL
    """Its readers: `public`, `internal` or `restricted`; the policies define them."""

    def as_resource(self) -> Resource:
        named = ("department", "state", "owner", "classification")
        return Resource("Document", self.id, tuple((name, getattr(self, name)) for name in named))


class Document(Entry):
    """A document with its text."""

    text: str


def digest(document: "Document") -> str:
    """Return the SHA-256 of a document, as its canonical JSON (RFC 8785)."""
    return hashlib.sha256(orjson.dumps(document.model_dump(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def absent_document(name: str) -> Document:
    """Return a stand-in for a document that does not exist, for the decision about it: no caller is allowed."""
    return Document(id=name, title="", department="", state="absent", owner="", text="")


def new_id() -> str:
    """Return a new random id."""
    return f"DRAFT-{secrets.token_hex(4)}"
