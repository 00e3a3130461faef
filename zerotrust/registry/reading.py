"""Reads a file of the registry: as a whole, strictly, or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from zerotrust.errors import ZeroTrustError

Model = TypeVar("Model", bound=BaseModel)


class RegistryError(ZeroTrustError):
    """The registry is invalid, or cannot be read.  The text names file, key and reason."""


class _StrictLoader(yaml.SafeLoader):
    """Loads YAML; a duplicate name is an error, and overwrites nothing."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate name {key!r}", node.value[position][0].start_mark
            )
    return loader.construct_mapping(node)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def content(path: Path, *, hint: str = "", most: int | None = None) -> bytes:
    """Return the content of a file.

    Raises `RegistryError` if it cannot be read, with `hint`, or is longer than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            text = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror}){hint}") from error
    if most is not None and len(text) > most:
        raise RegistryError(f"{path}: longer than {most:,} bytes")
    return text


def _yaml(text: bytes) -> Any:
    return yaml.load(text.decode(), _StrictLoader)  # noqa: S506 - a SafeLoader


def validated(kind: type[Model], text: bytes, path: Path, parse: Callable[[bytes], Any] = _yaml) -> Model:
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
    except (yaml.YAMLError, ValueError) as error:
        raise RegistryError(f"{path}: {error}") from error
