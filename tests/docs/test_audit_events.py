"""`docs/audit-events.md` names every event and field as the code has it, with an example of each type."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.support.leaks import holds_token
from zerotrust.audit import event as audit

PAGE = (Path(__file__).parents[2] / "docs" / "audit-events.md").read_text()
CALLED = {
    "AuditEvent": "event",
    "Caller": "principal",
    "Decided": "decision",
    "RegistryChange": "administration",
    "UntrustedPeer": "discovery",
}
"""What the page calls a class otherwise than in lower case."""

OURS = [kind for kind in vars(audit).values() if getattr(kind, "__module__", "") == audit.__name__]
SHAPES: list[Any] = [kind for kind in OURS if is_dataclass(kind) and fields(kind)]
TYPES = [kind.__dataclass_fields__["type"].default for kind in get_args(audit.Data)]
EXAMPLES = [audit.AuditEvent.parse(raw.encode()) for raw in re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_the_page_has_each_field_and_says_which_are_optional(shape: Any) -> None:
    name = CALLED.get(shape.__name__, shape.__name__.lower())
    [section] = re.findall(rf"^#{{3,4}} {name}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)

    told = re.findall(r"^\| `(\w+)` \| [^|]+ \| (always|optional) \| [^|]*\|$", section, re.MULTILINE)
    assert told == [(field.name, "optional" if field.default is None else "always") for field in fields(shape)]


def test_the_page_tells_of_nothing_else() -> None:
    told = re.findall(r"^#{3,4} (\w+)$", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(CALLED.get(shape.__name__, shape.__name__.lower()) for shape in SHAPES)


def test_there_is_an_example_of_each_type_in_canonical_form() -> None:
    assert [event.data.type for event in EXAMPLES] == TYPES
    assert not holds_token(PAGE)
