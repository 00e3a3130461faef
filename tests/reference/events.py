"""docs/reference/audit-events.md: every event and field of schema 1, from the types that write and read them."""

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from inspect import getsourcefile
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tests.reference.source import documented, text_of
from zerotrust.audit import event_parts, event_types, forms
from zerotrust.audit.event import AuditEvent

CALLED = {
    "AuditEvent": "event",
    "Caller": "principal",
    "Decided": "decision",
    "RegistryChange": "administration",
    "UntrustedPeer": "discovery",
}
"""What a record calls a class otherwise than in lower case."""
FORMS: list[tuple[Any, str]] = [
    (forms.SafeText, "text"),
    (forms.SpiffeId, "SPIFFE ID"),
    (forms.Id, "id"),
    (forms.TraceId, "trace id"),
    (forms.SpanId, "span id"),
    (forms.Sha256, "SHA-256"),
    (forms.Microseconds, "microseconds"),
    (forms.Times, "count"),
    (str, "string"),
    (bool, "boolean"),
    (int, "integer"),
]
EXAMPLES = [AuditEvent.parse(line) for line in Path(__file__).with_name("events.jsonl").read_bytes().splitlines()]
SECTIONS = {"Every event": [AuditEvent], "What happened": event_types, "Parts": event_parts}
_INTRODUCTION = """\
# Audit events

`start/run tests.reference` writes this page from [the types of events](../../zerotrust/audit/event_types.py),
[their parts](../../zerotrust/audit/event_parts.py) and [the forms of values](../../zerotrust/audit/forms.py).

## A record

    {"event":{...},"n":12,"prev":"9f86d0..."}

A journal, `data/<service>/journal.jsonl`, has one record in each line. After 16 MiB that file gets the number of its
first record as an ending (`journal.jsonl.0000000000000001`), and a new file continues the chain.

`event` is described below. `n` counts the records of the journal from 1. `prev` is the SHA-256 of the previous line,
without its newline; in the first record it is 64 zeros. So nobody can change a single record unnoticed. Until the audit
log has the last records, only the service itself can say whether they are whole.

A line is the canonical JSON (RFC 8785) of the record, of at most 65,535 bytes. To verify it in any language, split it
into its three members, and hash the bytes as they are.

## Rules

- **Schema 1 never changes.** A field that this page does not name is an error, and so is another number in `schema`.
- **A field that does not apply is left out.** No value is null.
- **Numbers are integers of at most 53 bits, and never negative.** Microseconds count from 1970-01-01 UTC, or are a
  duration. A count is at least 1.
- **Text comes from outside the service**: at most 200 characters, in printable ASCII. Other characters are escaped, and
  tokens are replaced. A string is a name that was verified, or that the code chose.
- **Ids and digests have a fixed form.** An id has only printable ASCII without spaces. A trace id is 32 hexadecimal
  digits in lower case, a span id 16, and a SHA-256 64.
- **Names have the characters of a scope** (RFC 6749 section 3.3): `permission`, each of `scopes`, `kind`, and each name
  in `attributes`. A `reason` is up to 64 lower-case letters and underscores. The audit log takes no other record.
- **No event has a token, a secret or the content of a document.** Of messages, it has only digests.
- **An event proves what the service said**, but not that it is true.
"""


def shapes(module: Any) -> list[Any]:
    """Return the classes of events or parts that a module defines, in its order."""
    return [kind for kind in vars(module).values() if is_dataclass(kind) and kind.__module__ == module.__name__]


def page() -> str:
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for title, kinds in SECTIONS.items():
        yield f"## {title}\n"
        for kind in kinds if isinstance(kinds, list) else shapes(kinds):
            yield f"### {_called(kind)}\n\n{text_of(kind)}\n\n| field | type | | meaning |\n|---|---|---|---|"
            hints = get_type_hints(kind, include_extras=True)
            said = documented(Path(getsourcefile(kind) or ""))
            yield from (_row(one, hints[one.name], said[f"{kind.__name__}.{one.name}"]) for one in fields(kind))
            yield from (f"\n```json\n{one.canonical().decode()}\n```" for one in EXAMPLES if type(one.data) is kind)
            yield ""


def _called(kind: Any) -> str:
    name: str = kind.__name__
    return CALLED.get(name, name.lower())


def _row(field: Field[Any], hint: Any, said: str) -> str:
    presence = "optional" if field.default is None else "always"
    return f"| `{field.name}` | {_type(hint)} | {presence} | {said} |"


def _type(hint: Any) -> str:  # noqa: PLR0911 - one for each kind
    """Return what the page calls the type of a field; None, beside another one, says only that it is optional."""
    if known := [name for form, name in FORMS if form is hint]:
        return known[0]
    arguments = [one for one in get_args(hint) if one is not type(None)]
    match get_origin(hint):
        case origin if origin is Literal:
            return " or ".join(f"`{one}`" for one in arguments)
        case origin if origin is tuple:
            return f"list of {_type(arguments[0])}"
        case origin if origin is dict:
            return f"object of {_type(arguments[1])}"
        case origin if origin is Annotated:
            return _type(arguments[0])
        case origin if len(arguments) > 1:
            return "one of the types below"
        case origin if origin in (Union, UnionType):
            return _type(arguments[0])
        case _:
            return f"[{_called(hint)}](#{_called(hint)})"
