"""A pytest plugin that notes what each attack came to: the answers, the journals, and how many tries succeeded.

Ids, times, digests, ports and the ends of long texts are normalised; of a JSON body, the names of its fields
are kept, and the values of those that no id is in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.attack_cases import observers
from tests.support.records import flat
from zt.audit.journals import events

KEPT = {"error", "reason", "scope", "supported", "requested", "status", "code", "isError", "role", "state", "verdict"}
"""Fields whose values are kept."""
_LONGEST = 160
_NORMALISED = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b\w{3}, \d\d \w{3} \d{4} [0-9:]+ GMT"), "<time>"),
    (re.compile(r"(?:/[\w.-]+)*/(?:pytest-of|zt)-[\w./-]+"), "<folder>"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "<digest>"),
    (re.compile(r"(?=[\w+/-]*\d)(?=[\w+/-]*[A-Z])[\w+/-]{32,}=*"), "<digest>"),
    (re.compile(r"(localhost|127\.0\.0\.1|\.example|\.test):\d{4,5}"), r"\1:<port>"),
    (re.compile(r"\d+\.\d+|\d{5,}"), "<number>"),
)
_TEMPORARY = re.compile(r"\btmp\w{8}\b")
NOTED = "proof"
_notes: dict[str, Any] = {}


def normalised(text: object) -> str:
    """Return a text in which whatever differs from run to run has a name."""
    found = str(text)
    for pattern, name in _NORMALISED:
        found = pattern.sub(name, found)
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the fields of a JSON value by path, with the values of those in `KEPT`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{normalised(name)}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, f"{path}[]")
    else:
        name = path.rpartition(".")[2]
        yield f"{path} = {_shown(name, value)}" if name in KEPT else path


def _shown(name: str, value: Any) -> Any:
    if name == "scope":  # Keycloak gives scopes in any order
        return " ".join(sorted(str(value).split()))
    return value if name == "code" else normalised(value)


def answered(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer says: status, headers, and the fields of its body."""
    try:
        body: Any = sorted({*fields(answer.json())})
    except ValueError:
        body = normalised(answer.text)
    headers = {name: normalised(value) for name, value in sorted(answer.headers.items()) if name != "content-length"}
    return {"status": answer.status_code, "headers": headers, "body": body}


def tried(one: Any) -> dict[str, Any]:
    """Return what one try came to."""
    found: dict[str, Any] = {"succeeded": one.succeeded, "about": list(one.about)}
    if isinstance(answer := getattr(one, "answer", None), httpx.Response):
        found |= answered(answer)
    else:
        found["told"] = normalised(one.told)
    on_record = getattr(one, "recorded", ())
    return found | {"recorded": sorted({kind for each in on_record for kind in _kinds(each)})}


def journals(folder: Path) -> dict[str, list[str]]:
    """Return types and reasons of the records in the journals under a folder, by party."""
    found: dict[str, set[str]] = {}
    for file in folder.rglob("journal.jsonl"):
        party = _TEMPORARY.sub("<folder>", str(file.parent.relative_to(folder)))
        found.setdefault(party, set()).update(_written(file))
    return {party: sorted(kinds) for party, kinds in sorted(found.items())}


def _written(journal: Path) -> set[str]:
    found = set()
    try:
        for event in events(journal):
            found |= {*_kinds(flat(event))}
    except ValueError:
        found.add("<not a record>")
    return found


def _kinds(record: Any) -> Iterator[str]:
    if not isinstance(record, Mapping):
        yield normalised(record)
        return
    counted = [*(record.get("unverified") or []), *(record.get("repeated") or [])]
    for one in counted or [record]:
        yield f"{record['event']} {one.get('reason') or ''}".rstrip()


def repeated(tries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each different try once, with the number of times it occurred."""
    times = Counter(json.dumps({name: told for name, told in one.items() if name != "about"}) for one in tries)
    return [{"times": number, **json.loads(one)} for one, number in times.items()]


def _observe(tries: Sequence[Any], folder: Path | None) -> None:
    _notes["tries"] = [tried(one) for one in tries]
    _notes["journals"] = journals(folder) if folder else {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note what the observed attack of a test came to, where its report has it."""
    _notes.clear()
    observers[:] = [_observe]
    try:
        yield
    finally:
        observers.clear()
        item.user_properties.append((NOTED, json.dumps(_notes)))
