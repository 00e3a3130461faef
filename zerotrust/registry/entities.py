"""The parties as the policies see them."""

from typing import Any

from zerotrust.registry.model import Registry


def party_entities(registry: Registry) -> list[dict[str, Any]]:
    """Return the parties as Cedar entities: what each delegates, whom it may call, what it serves."""

    def reference(name: str) -> dict[str, str]:
        return {"type": "Party", "id": registry.id(name)}

    return [
        {
            "uid": reference(name),
            "attrs": {
                "delegates": party.delegates,
                "may_call": [{"__entity": reference(callee)} for callee in party.may_call],
                "serves": registry.scopes_at(name),
            },
            "parents": [],
        }
        for name, party in registry.parties.items()
    ]
