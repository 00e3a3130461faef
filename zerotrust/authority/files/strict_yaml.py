"""Parses YAML in which no name occurs twice; any fault is a `ValueError`.  Pure."""

from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Loads YAML; each fault is a `yaml.YAMLError` that names the line, or a `RecursionError`."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's
        """Return the value of a node.  PyYAML fails in all these ways for `!!int x`, `!!timestamp x`, `2026-99-99`."""
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"not a value of {kind!r}", node.start_mark) from error


class _StrictLoader(Loader):
    """Refuses a duplicate name, which would overwrite the first."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    names = [(loader.construct_object(key), key.start_mark) for key, _ in node.value]
    found = loader.construct_mapping(node)  # fails if something cannot be a name
    seen = set()
    for name, mark in names:
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate name {name!r}", mark)
        seen.add(name)
    return found


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def strict_yaml(text: bytes) -> Any:
    """Return what a text says: UTF-8, unique names, no tags but those of YAML itself.  Raises `ValueError`."""
    try:
        return yaml.load(text.decode(), _StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
