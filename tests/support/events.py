"""All events that there may be, for hypothesis."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

Of = Mapping[str, st.SearchStrategy[Any]]


def values(kind: Any, of: Of = MappingProxyType({}), most: int | None = None) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each kind
    """All values of a type of a field: those of its form, and of every field if it is a part of an event.

    `of`: what is taken in place of all values, by the name of a field.  `most`: the largest number.
    """
    arguments = get_args(kind)
    match get_origin(kind):
        case _ if kind is type(None):
            return st.none()
        case None if kind in (str, int, bool):
            return st.from_type(kind)
        case None:
            hints = get_type_hints(kind, include_extras=True)
            names = [field.name for field in fields(kind)]
            return st.builds(
                kind, **{name: of[name] if name in of else values(hints[name], of, most) for name in names}
            )
        case origin if origin is Annotated and get_origin(arguments[0]) is UnionType:
            return values(arguments[0], of, most)
        case origin if origin is Annotated:
            [form] = arguments[1].metadata
            if hasattr(form, "pattern"):
                return st.from_regex(form.pattern, fullmatch=True)
            return st.integers(form.ge, most)
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin is tuple:
            return st.lists(values(arguments[0], of, most)).map(tuple)
        case origin if origin is dict:  # its names are the code's own
            return st.dictionaries(st.text(st.characters(codec="ascii")), values(arguments[1], of, most))
        case _:
            return st.one_of(*(values(one, of, most) for one in arguments))
