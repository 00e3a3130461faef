"""Every way to revoke something, and the tokens of the session that it is tried on.

`revocation_delays.py` measures how soon each service refuses them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import httpx
from keycloak import KeycloakAdmin

from demo.again import insist
from demo.intruder import Intruder, User, claims_of, mcp_request
from demo.revocation import PLANTED, sign_in_olga, wait_until_restored
from start.system import Running, System
from zt.people.login import Login
from zt.people.registry_client import RegistryClient

LONGEST = 60
"""Seconds after which a method counts as broken: as long as its tokens live."""
PLAN = {"request": "Summarise the incident reports."}
READER, WRITER = "agent/reader", "agent/writer"


@dataclass(slots=True)
class Use:
    """Tokens of one session, in use at every service.  They stay the same, also when they end."""

    system: Running
    intruder: Intruder
    olga: RegistryClient
    agent: str
    login: Login
    t1: str
    t2: str
    t3: str
    asked: float = 0.0
    """When the revocation was asked for, on the monotonic clock: not before an administrator has signed in for it."""

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of T0."""
        return claims_of(self.login.access_token)

    def calls(self) -> Mapping[str, Callable[[], Awaitable[httpx.Response]]]:
        """Return a cheap call for each service, as the holder of its token makes it."""
        ask, alice = self.intruder.send, self.login.auth
        unknown_model = {"model": "none", "messages": [{"role": "user", "content": "?"}]}
        return {
            "orchestrator": lambda: ask(None, "orchestrator", "/plan", None, auth=alice, json=PLAN),
            self.agent: lambda: ask("orchestrator", self.agent, "/a2a", self.t1, json={}),
            "tool/documents": lambda: ask(self.agent, "tool/documents", "/mcp", self.t2, **mcp_request("tools/list")),
            "inference": lambda: ask(self.agent, "inference", "/v1/chat/completions", self.t3, json=unknown_model),
        }


async def get_tokens(
    system: Running, intruder: Intruder, olga: RegistryClient, *, agent: str = READER, user: str = "alice"
) -> Use:
    """Sign a user in, and exchange the token for every hop on the way through one agent."""
    way = User(user, intruder, agent=agent)
    t1, t2, t3 = [await token() for token in (way.t1, way.t2, way.t3)]
    return Use(system, intruder, olga, agent, way.login, t1, t2, t3)


async def _post_to_realm(use: Use, url: str, **form: str) -> None:
    async with httpx.AsyncClient(verify=use.system.keycloak.tls, trust_env=False, timeout=30) as http:
        (await http.post(url, data={"client_id": "walkthrough", **form})).raise_for_status()


async def logout(use: Use) -> None:
    """Alice signs out."""
    await _post_to_realm(use, use.system.keycloak.metadata.end_session_endpoint, id_token_hint=use.login.id_token)


async def plant_file(_use: Use) -> None:
    """A file is planted in the writer's code."""
    PLANTED.touch()


async def revoke_token(use: Use) -> None:
    """Alice's client revokes T0 at Keycloak (RFC 7009), which does not revoke the tokens derived from it."""
    await _post_to_realm(use, use.system.keycloak.metadata.revocation_endpoint, token=use.login.access_token)


def _administration(use: Use) -> AbstractAsyncContextManager[KeycloakAdmin]:
    """Return an administrator's client, which only the process that runs the system has."""
    assert isinstance(use.system, System)  # noqa: S101 - containers give nobody an administrator
    return use.system.keycloak.administration()


async def _set_user(use: Use, *, enabled: bool) -> None:
    async with _administration(use) as admin:
        await admin.a_get_user(use.claims["sub"])
        use.asked = time.monotonic()
        await admin.a_update_user(use.claims["sub"], {"enabled": enabled})


async def _set_client(use: Use, *, enabled: bool) -> None:
    async with _administration(use) as admin:
        known_as = await admin.a_get_client_id(use.system.registry.id(READER))
        use.asked = time.monotonic()
        await admin.a_update_client(str(known_as), {"enabled": enabled})


async def _undo_suspend(use: Use) -> None:
    if (result := await _reinstate(use, READER)) != "notified":
        raise RuntimeError(f"{READER} is reinstated, but Keycloak was not notified: {result}")


async def _undo_drift(use: Use) -> None:
    PLANTED.unlink(missing_ok=True)
    await _reinstate(use, WRITER)


async def _reinstate(use: Use, name: str) -> str:
    """Have olga reinstate a party, with a token that has not ended.  Return whether Keycloak was notified."""
    olga = await sign_in_olga(use.system, await use.intruder.client(None))
    await wait_until_restored(olga)
    return str((await insist(lambda: olga.reinstate(name)))["keycloak"])


async def _enable_user(use: Use) -> None:
    await _set_user(use, enabled=True)
    await wait_for_user(use)


async def wait_for_user(use: Use) -> None:
    """Wait until a user that has just been enabled can sign in, and the new tokens are accepted."""
    enabled = time.time()
    await _wait_until_active(use, "user", use.claims["sub"])
    await _wait_for_next_second(enabled)


async def _wait_for_next_second(of: float) -> None:
    """Keycloak dates sessions in whole seconds, so a session of the same second may pass for an older session."""
    await asyncio.sleep(max(0.0, int(of) + 1 - time.time()))


async def _undo_revoke_token(_use: Use) -> None:
    """Wait until alice's next sign-in counts as a later one.

    With many revoked tokens she has used up her share (`authorities/registry/quota.py`): all that were issued until
    this second are revoked then.
    """
    await _wait_for_next_second(time.time())


async def _enable_client(use: Use) -> None:
    await _set_client(use, enabled=True)
    await _wait_until_active(use, "party", use.system.registry.id(READER))


async def _wait_until_active(use: Use, kind: str, name: str) -> None:
    async with asyncio.timeout(LONGEST):
        while any(
            (one["kind"], one["name"]) == (kind, name) for one in (await use.olga.ask("GET", "/revocations"))["revoked"]
        ):
            pass


async def _undo_nothing(_use: Use) -> None:
    """Do nothing: it cannot be undone."""


BEHIND_THE_AGENT = ("tool/documents", "inference")
EVERYWHERE = ("orchestrator", READER, *BEHIND_THE_AGENT)


@dataclass(frozen=True, slots=True)
class RevocationMethod:
    """One way to revoke something."""

    called: str
    """Its name in docs/explain/revocation.md."""
    trigger: Callable[[Use], Awaitable[object]]
    undo: Callable[[Use], Awaitable[None]] = _undo_nothing
    hits: tuple[str, ...] = EVERYWHERE
    """The services whose caller, or an earlier party of the chain, is revoked by it."""
    agent: str = READER


REVOCATION_METHODS = {
    "logout": RevocationMethod("alice signs out", logout),
    "session": RevocationMethod("zt revoke session", lambda use: use.olga.revoke("session", use.claims["sid"])),
    # With it, all tokens that were derived from this one.
    "token": RevocationMethod("zt revoke token", lambda use: use.olga.revoke("token", use.claims["jti"])),
    "suspend": RevocationMethod(
        "zt party suspend",
        lambda use: use.olga.suspend(READER, "the walkthrough shows it"),
        _undo_suspend,
        hits=BEHIND_THE_AGENT,
    ),
    "drift": RevocationMethod(
        "a file in a party's code changes", plant_file, _undo_drift, hits=BEHIND_THE_AGENT, agent=WRITER
    ),
    "disable_user": RevocationMethod(
        "a user is disabled at Keycloak", lambda use: _set_user(use, enabled=False), _enable_user
    ),
    "revoke_token": RevocationMethod("a token is revoked at Keycloak (RFC 7009)", revoke_token, _undo_revoke_token),
    "disable_client": RevocationMethod(
        "a client is disabled at Keycloak",
        lambda use: _set_client(use, enabled=False),
        _enable_client,
        hits=BEHIND_THE_AGENT,
    ),
}
