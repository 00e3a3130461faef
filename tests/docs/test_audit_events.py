"""`docs/audit-events.md` names every event and field as the code has it, with an example of each type."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from tests.support.leaks import holds_token
from zerotrust.audit import event, event_parts, event_types, forms
from zerotrust.audit.event import AuditEvent

PAGE = (Path(__file__).parents[2] / "docs" / "audit-events.md").read_text()
CALLED = {
    "AuditEvent": "event",
    "Caller": "principal",
    "Decided": "decision",
    "RegistryChange": "administration",
    "UntrustedPeer": "discovery",
}
"""What the page calls a class otherwise than in lower case."""

SHAPES: list[Any] = [
    kind
    for module in (event, event_types, event_parts)
    for kind in vars(module).values()
    if is_dataclass(kind) and kind.__module__ == module.__name__
]
TYPES = [kind.__dataclass_fields__["type"].default for kind in get_args(event_types.Data)]
EXAMPLES = [AuditEvent.parse(raw.encode()) for raw in re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)]


FORMS: list[tuple[Any, set[str]]] = [
    (forms.SafeText, {"text"}),
    (forms.SpiffeId, {"SPIFFE ID"}),
    (forms.Id, {"id"}),
    (tuple[forms.Id, ...], {"list of ids"}),
    (forms.TraceId, {"trace id"}),
    (forms.SpanId, {"span id"}),
    (forms.Sha256, {"SHA-256"}),
    (forms.Microseconds, {"time", "duration"}),
    (forms.Times, {"count"}),
]
"""What the page calls each form."""


def form(hint: Any) -> set[str]:
    """What the page may call the type of a field, if its values have a form."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return next((names for kind, names in FORMS if kind in kinds), set())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_the_page_has_each_field_with_its_form_and_says_which_are_optional(shape: Any) -> None:
    name = CALLED.get(shape.__name__, shape.__name__.lower())
    [section] = re.findall(rf"^#{{3,4}} {name}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)

    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (always|optional) \| [^|]*\|$", section, re.MULTILINE)
    assert [(field, presence) for field, _, presence in found] == [
        (field.name, "optional" if field.default is None else "always") for field in fields(shape)
    ]
    hints, named = get_type_hints(shape, include_extras=True), set[str]().union(*(names for _, names in FORMS))
    assert [field for field, kind, _ in found if {kind} & named != {kind} & form(hints[field])] == []
    assert [field for field, kind, _ in found if form(hints[field]) and kind not in named] == []


def test_the_page_tells_of_nothing_else() -> None:
    told = re.findall(r"^#{3,4} (\w+)$", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(CALLED.get(shape.__name__, shape.__name__.lower()) for shape in SHAPES)


def test_there_is_an_example_of_each_type_in_canonical_form() -> None:
    assert [event.data.type for event in EXAMPLES] == TYPES
    assert not holds_token(PAGE)
