"""`docs/explain/revocation.md` says what the code does with each event of Keycloak, for all types there are."""

import json
import re
from typing import Any

import pytest

from authorities.registry.keycloak import events
from tests.support.revocation_page import ADMIN_ROWS, READ_ONLY, USER_TYPES

KINDS = {"user": "user", "party": "party", "session": "session", "all tokens": "before", "token": "token"}
NOT_BEFORE = 1_700_000_000


def named(effect: str) -> set[str]:
    """What is revoked, as the page says it."""
    return set(re.findall(r"\b(sessions|session|user|party|all tokens)\b", effect))


def revoked(changes: list[events.Change | events.Sessions]) -> set[str]:
    names = {kind: name for name, kind in KINDS.items()}
    return {"sessions" if isinstance(one, events.Sessions) else names[one.subject[0]] for one in changes}


@pytest.mark.parametrize("row", ADMIN_ROWS, ids=lambda row: " ".join(row[:3]))
def test_an_admin_event_does_what_its_row_says(row: tuple[str, ...]) -> None:
    operation, resource, path, effect = row
    off = {"eventsEnabled": False} if resource == "REALM" and path in ("", "events/config") else {}
    event: dict[str, Any] = {
        "operationType": operation,
        "resourceType": resource,
        "resourcePath": path.replace("ID", "an-id"),
        "time": 1_795_563_637_424,
        "representation": json.dumps({"enabled": False, "notBefore": NOT_BEFORE} | off),
    }
    found = revoked(events.of_admin_event(event, {"an-id": "agent/reader"}))
    found |= {"all tokens"} if events.switches_off(event) else set()

    assert found == named(effect)


@pytest.mark.parametrize(("kind", "effect"), USER_TYPES.items())
def test_a_user_event_does_what_its_row_says(kind: str, effect: str) -> None:
    event = {"type": kind, "userId": "alice", "time": 1, "sessionId": "s1", "details": {}}
    found = revoked(events.of_user_event(event))

    assert found == named(effect)
    assert (kind in events.USER_EVENTS) == bool(found)
    assert (kind in events.RECORDED) == (bool(effect) or kind in READ_ONLY)


def test_only_the_sentinel_is_read_and_revokes_nothing() -> None:
    assert set(events.READ) - set(events.USER_EVENTS) == {events.SENTINEL}
    assert set(events.RECORDED) - set(events.READ) == {"LOGIN", events.EXCHANGED}
