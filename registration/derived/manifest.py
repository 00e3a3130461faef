"""Writes YAML for people: short objects are on a line each, and no object refers to another."""

from collections.abc import Iterable
from typing import Any

import yaml

HEADER = "# Written by `make register` from registry.yaml: change that.\n"
SHORT = 110


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:  # noqa: FBT001 - its own
        return super().represent_sequence(tag, sequence, flow_style or len(str(sequence)) < SHORT)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:  # noqa: FBT001 - its own
        return super().represent_mapping(tag, mapping, flow_style or len(str(mapping)) < SHORT)


def as_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """Return a generated file with these objects, each a document of its own."""
    return HEADER + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)
