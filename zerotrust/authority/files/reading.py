"""Reads a file of the registry: as a whole, strictly, or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from zerotrust.authority.bounded_file import file_content
from zerotrust.authority.files.strict_yaml import strict_yaml
from zerotrust.errors import ZeroTrustError

MAX_FILE = 256 * 1024
"""Bytes of `registry.yaml`, of `registry.lock` and of a deployment.  YAML of this length takes 3 s to read."""

Model = TypeVar("Model", bound=BaseModel)


class RegistryError(ZeroTrustError):
    """The registry is invalid, or cannot be read.  The text names file, key and reason."""


def read_content(path: Path, *, hint: str = "", most: int = MAX_FILE) -> bytes:
    """Return the content of a file.

    Raises `RegistryError` if it cannot be read, with `hint`; also if it is longer than `most` bytes, or a pipe.
    """
    try:
        return file_content(path, most)
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror}){hint}") from error


def validate(kind: type[Model], text: bytes, path: Path, parse: Callable[[bytes], Any] = strict_yaml) -> Model:
    """Return the model of a text from `path`.  Raises `RegistryError` naming the file, the key and the reason."""
    try:
        return kind.model_validate(parse(text))
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            why = problem["msg"].removeprefix("Value error, ")
            lines += [f"{path}: {key + ': ' if key else ''}{line}" for line in why.splitlines()]
        raise RegistryError("\n".join(lines)) from error
    except ValueError as error:
        raise RegistryError(f"{path}: {error}") from error
