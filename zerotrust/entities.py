"""Which entities a decision can depend on, so that its cost does not grow with the number of all.  Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Uid = tuple[str, str]
"""The type and the id of an entity."""
Entity = Mapping[str, Any]
"""An entity as Cedar JSON."""


class Entities:
    """All entities of one version of the policies."""

    def __init__(self, entities: Iterable[Entity], named: Iterable[Uid] | None) -> None:
        """Take the entities, and those that the policies name; None if that is unknown, so that they may name any."""
        self._all = {_uid(entity["uid"]): entity for entity in entities}
        self._named = [*self._all] if named is None else [*named]

    def __contains__(self, uid: Uid) -> bool:
        return uid in self._all

    def about(self, *roots: Uid) -> list[Entity]:
        """Return what a decision can read that is about `roots`: these, what the policies name, and what they refer to.

        A policy gets from an entity to another one by an attribute, and by `in` to those above it.  It cannot take an
        entity out of a set, so those are not followed: whom a party may call is only compared.
        """
        found: dict[Uid, Entity] = {}
        left = [*roots, *self._named]
        while left:
            if (uid := left.pop()) not in found and (entity := self._all.get(uid)):
                found[uid] = entity
                left += map(_uid, entity.get("parents", ()))
                left += _references(entity.get("attrs", {}))
        return [found[uid] for uid in sorted(found)]


def _references(value: Any) -> Iterator[Uid]:
    """Yield the entities in an attribute, or in a record of attributes; with a schema, they need no `__entity`."""
    if isinstance(value, dict):
        told = value.get("__entity", value)
        if isinstance(told.get("type"), str) and isinstance(told.get("id"), str):
            yield told["type"], told["id"]
        for inner in value.values():
            yield from _references(inner)


def _uid(told: Mapping[str, Any]) -> Uid:
    told = told.get("__entity", told)
    return told["type"], told["id"]
