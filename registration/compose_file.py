"""Reads compose files.  A duplicate name is an error; Compose and PyYAML would silently use the last."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from registration.names import COMPOSE
from zerotrust.authority.files.strict_yaml import Loader
from zerotrust.errors import ZeroTrustError

OTHERS = "start/compose.*.yaml"
"""The files that are used together with `docker-compose.yml`, so that a name means the same in all of them."""


class ComposeError(ZeroTrustError):
    """The file cannot be read.  The text names the place and the reason."""


def load_compose(text: str) -> dict[str, Any]:
    """Return the content of a compose file.  Raises `ComposeError`."""
    try:
        for mapping in _mappings(yaml.compose(text, Loader=Loader), set()):
            names = [key.value for key, _ in mapping.value]
            for position, name in enumerate(names):
                if name in names[:position]:
                    line = mapping.value[position][0].start_mark.line + 1
                    raise ComposeError(f"line {line}: duplicate name {name!r}: remove one of the two")
        found = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ComposeError(str(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
        raise ComposeError("it has no services")
    return found


def names_in_use(root: Path, text: str) -> dict[str, str]:
    """Return for each name of a service, volume or network its kind and file: `volume accounts in docker-compose.yml`.

    `text`: `docker-compose.yml`, as changed so far.  Raises `ComposeError`.
    """
    files = [(COMPOSE, text), *((str(path.relative_to(root)), path.read_text()) for path in sorted(root.glob(OTHERS)))]
    contents = [(file, load_compose(content)) for file, content in files]
    return {
        name: f"{kind[:-1]} {name} in {file}"
        for kind in ("networks", "volumes", "services")
        for file, content in reversed(contents)
        for name in content.get(kind) or {}
    }


def _mappings(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    """Yield the mappings in a node, each once, also if aliases refer to it."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value, seen)
