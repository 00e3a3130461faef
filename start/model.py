"""Which model answers behind inference: an option of `make up` and `make demo`."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from start.llama_stack.ogx import Provider


class Model(StrEnum):
    """The model behind inference."""

    SCRIPT = "script"
    LLAMA_STACK = "llama-stack"

    def provider(self) -> "Provider | None":
        """Return the model server behind a Llama Stack server, or None without one.  Raises `LlamaStackError`."""
        from start.llama_stack.server import provider_of  # noqa: PLC0415 - takes long, and not everybody needs it

        return provider_of(os.environ) if self is Model.LLAMA_STACK else None


ModelOption = Annotated[Model, typer.Option(help="what answers behind inference")]
