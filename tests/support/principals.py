"""Callers as the gate would have them, without a token that anybody would have to verify."""

from typing import Any

from zerotrust.identity import Principal


def principal(**changed: Any) -> Principal:
    """Alice at her own client, with nothing granted, issued at 0 and for a minute; but for what is `changed`.

    Where actors are `changed`, the current one is whom the token was issued to.
    """
    good: dict[str, Any] = {
        "subject": "alice",
        "party": changed["actors"][0] if changed.get("actors") else "walkthrough",
        "actors": (),
        "audience": "spiffe://agents.example/orchestrator",
        "scopes": frozenset(),
        "groups": frozenset(),
        "token_id": "T0",
        "lineage": (),
        "client": "walkthrough",
        "chain_started_at": 0,
        "session": "session-1",
        "issued_at": 0,
        "expires_at": 60,
        "token": "the.secret.itself",
    }
    return Principal(**(good | changed))
