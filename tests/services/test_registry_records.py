"""Whatever changes who may take part leaves a record that names it, why, and by whom."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from authorities.registry.keycloak.events import Apply, Change
from tests.support import registry_authority as module
from tests.support.issuer import Issuer
from tests.support.registry_authority import NAME, READER, Authority, authority_in
from zerotrust.revocation_list import Revocable


class Keycloak:
    """Follows it, and hands on what it says."""

    apply: Apply

    async def follow(self, apply: Apply, _heard: Callable[[float], None]) -> None:
        self.apply = apply


@pytest.fixture
def keycloak(monkeypatch: pytest.MonkeyPatch) -> Keycloak:
    keycloak = Keycloak()
    monkeypatch.setattr(module, "follow_nobody", keycloak.follow)
    return keycloak


@pytest.fixture
async def authority(tmp_path: Path, issuer: Issuer, keycloak: Keycloak) -> AsyncIterator[Authority]:
    async with authority_in(tmp_path, issuer) as authority:
        yield authority


def administration(authority: Authority) -> list[tuple[Any, ...]]:
    """What is on record of changes: the action, of what, why, and by whom."""
    found = [r for r in authority.system.records(NAME) if r["event"] == "administration"]
    return [(r["action"], r["target"], r["cause"], r.get("subject") or r["peer"]) for r in found]


async def test_each_thing_that_an_operator_or_attestation_changes_is_on_record(authority: Authority) -> None:
    for kind in ("session", "user", "token"):
        revoked = {"kind": kind, "name": "alice" if kind == "user" else f"a-{kind}", "cause": f"the {kind} was stolen"}
        await authority.operate("POST", "/revocations", revoked)
    await authority.operate("POST", f"/parties/{READER}/suspend", {"cause": "it misbehaves"})
    await authority.operate("POST", f"/parties/{READER}/reinstate", {"cause": "it was checked"})
    await authority.operate("POST", "/reinstatements", {"kind": "user", "name": "alice", "cause": "it was found"})
    await authority.operate("POST", "/reload")
    await authority.report({"agent/writer": "agents/writer/planted.py"})

    attestation = "spiffe://agents.example/authority/attestation"
    assert administration(authority) == [
        ("revoke", "session a-session", "the session was stolen", "olivia"),
        ("revoke", "user alice", "the user was stolen", "olivia"),
        ("revoke", "token a-token", "the token was stolen", "olivia"),
        ("suspend", READER, "it misbehaves", "olivia"),
        ("reinstate", READER, "it was checked", "olivia"),
        ("reinstate", "user alice", "it was found", "olivia"),
        ("reload", "registry", None, "olivia"),
        ("drift", "agent/writer", "agents/writer/planted.py", attestation),
    ]


@pytest.mark.parametrize(
    "subject",
    [
        ("session", "s1"),
        ("user", "alices-id"),
        ("token", "t1"),
        ("party", "spiffe://agents.example/agent/reader"),
        ("before", "1795600000"),
        ("before", "1795600000 alices-id"),
    ],
)
async def test_each_thing_that_keycloak_changes_is_on_record(
    authority: Authority, keycloak: Keycloak, subject: Revocable
) -> None:
    await keycloak.apply(Change(subject, "keycloak: logout"))
    await keycloak.apply(Change(subject, "keycloak: logout"))  # it changes nothing any more
    await keycloak.apply(Change(subject, None))

    what = " ".join(subject)
    assert administration(authority) == [("revoke", what, "keycloak: logout", None), ("reinstate", what, None, None)]
