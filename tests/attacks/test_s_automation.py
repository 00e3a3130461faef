"""S. Operators by machine, and kept sign-ins: who operates beyond what was registered, or in an operator's place."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from authorities.registry.state import State
from testkit.issuer import ISSUER, metadata
from tests.support.attack import REGISTRY, Attempt, Scene, Target, Tries, attack
from tests.support.attack_registry import Registered, with_registry
from tests.support.ca import workload
from tests.support.operator import token_of
from tests.support.system import POLICY, registry
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import parse_registry
from zerotrust.decision import Reason
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import SIGN_IN_LIFE
from zerotrust.runtime import policy_of
from zt.errors import CommandError
from zt.people.kept import Keeper
from zt.people.key import Key
from zt.people.login import Client, Login

AUTOMATION = "automation/ci"
ITSELF = f"spiffe://agents.example/{AUTOMATION}"
SUSPEND, REINSTATE = "/parties/agent/reader/suspend", "/parties/agent/reader/reinstate"


class Registering(Scene):
    """A registry that somebody proposes."""


@attack(508, Registering)
async def test_a_registration_that_gives_operations_away() -> Tries:
    for client, scope in (
        ("zt", "registry.suspend"),
        ("walkthrough", "policy.activate"),
        ("console", "registry.revoke"),
    ):
        raw = registry().model_dump()
        raw["parties"][client]["delegates"].append(scope)
        raw["parties"][AUTOMATION]["delegates"].remove(scope)
        yield _approved(raw, "for parties with operates alone").stopped_by("operating-scope-reserved")
    for callee, scope in (("orchestrator", "task.run"), ("inference", "inference.run")):
        raw = registry().model_dump()
        raw["parties"][AUTOMATION]["may_call"].append(callee)
        raw["parties"][AUTOMATION]["delegates"].append(scope)
        del raw["parties"]["console"], raw["parties"]["walkthrough"], raw["parties"]["orchestrator"]["delegates"]
        yield _approved(raw, "with operates, the registry").stopped_by("operates-authorities-only")


def _approved(raw: Any, why: str) -> Attempt:
    try:
        parse_registry(orjson.dumps(raw), Path("registry.yaml"))
    except RegistryError as error:
        return Attempt("not approved", why not in str(error))
    return Attempt("approved", succeeded=True)


def operating(target: Target, audience: str = REGISTRY, **changed: Any) -> str:
    """A token of the party that operates, for itself."""
    own: dict[str, Any] = {"azp": ITSELF, "sub": ITSELF, "sid": None, "scope": "registry.suspend registry.reinstate"}
    return target.token(audience, **(own | changed))


@attack(501, with_registry)
async def test_a_party_does_what_its_token_does_not_name(target: Registered) -> Tries:
    """The realm gives it a token for what it asks for, and this one was to revoke."""
    token, body = operating(target, scope="registry.revoke"), {"cause": "a whim"}
    assert (await target.send(REGISTRY, operating(target), path=SUSPEND, body=body)).answer.status_code == 200
    assert (await target.send(REGISTRY, operating(target), path=REINSTATE, body={})).answer.status_code == 200
    for path, sent in ((SUSPEND, body), (REINSTATE, {})):
        yield await target.send(REGISTRY, token, path=path, body=sent)


@attack(502, with_registry)
async def test_a_party_does_what_its_registration_names_no_longer(target: Registered) -> Tries:
    token, snapshot = operating(target), target.system.snapshot
    said = snapshot.registry.model_dump()
    said["parties"][AUTOMATION]["delegates"] = ["registry.revoke", "policy.activate"]
    now = Registry.model_validate(said)
    for service in target.system.services.values():
        service.use(snapshot.model_copy(update={"registry": now}), policy_of(POLICY, now))
    for path, sent in ((SUSPEND, {"cause": "a whim"}), (REINSTATE, {})):
        yield await target.send(REGISTRY, token, path=path, body=sent)


@attack(503)
async def test_a_party_that_operates_calls_one_that_works_for_users(target: Target) -> Tries:
    """The realm gives no such token; it is no user, whatever the token says."""
    for scope in ("reasoning.plan", "reasoning.plan registry.suspend"):
        yield await target.send(
            "orchestrator", operating(target, "orchestrator", scope=scope), peer=workload(AUTOMATION)
        )


@attack(504, with_registry)
async def test_a_token_of_a_party_that_operates_in_other_hands(target: Registered) -> Tries:
    for thief in ("agent/reader", "orchestrator", "console"):
        token, body = operating(target), {"cause": "a theft"}
        yield await target.send(REGISTRY, token, path=SUSPEND, body=body, peer=workload(thief))


@attack(505)
async def test_a_users_token_without_a_session(target: Target) -> Tries:
    for party in ("orchestrator", "agent/reader", "tool/documents"):
        yield await target.send(party, target.token(party, sid=None))


@attack(509, with_registry)
async def test_a_party_that_operates_suspends_itself(target: Registered) -> Tries:
    tried = await target.send(REGISTRY, operating(target), path=f"/parties/{AUTOMATION}/suspend", body={"cause": "x"})
    tried.effect = tried.answer.status_code == 200
    yield tried


@attack(550, with_registry)
async def test_a_party_that_operates_revokes_itself(target: Registered) -> Tries:
    """By the user that Keycloak keeps for it, whose name is known."""
    body = {"kind": "user", "name": f"service-account-{ITSELF}", "cause": "x"}
    tried = await target.send(REGISTRY, operating(target, scope="registry.revoke"), path="/revocations", body=body)
    tried.effect = tried.answer.status_code == 200
    yield tried


@attack(510, with_registry)
async def test_an_operator_and_a_party_end_each_other_and_the_party_is_late(target: Registered) -> Tries:
    yield await both_ended(target, late=ITSELF)


@attack(510, with_registry)
async def test_an_operator_and_a_party_end_each_other_and_the_operator_is_late(target: Registered) -> Tries:
    yield await both_ended(target, late="olga")


async def both_ended(target: Registered, late: str) -> Attempt:
    """Let in olga, who suspends the party, and the party, which revokes her; what the late one asks is done last."""
    let_in, first_done, turn_of = asyncio.Event(), asyncio.Event(), State.turn_of

    @asynccontextmanager
    async def turn(state: State, who: str) -> AsyncIterator[None]:
        if who == late:
            let_in.set()
            await first_done.wait()
        async with turn_of(state, who):
            yield

    suspends, revokes = target.operating(), operating(target, scope="registry.revoke")
    body = {"kind": "user", "name": "olga", "cause": "a coup"}
    orders = {
        "olga": target.send(REGISTRY, suspends, path=f"/parties/{AUTOMATION}/suspend", body={"cause": "taken over"}),
        ITSELF: target.send(REGISTRY, revokes, path="/revocations", body=body),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "turn_of", turn)
        waiting = asyncio.create_task(orders.pop(late))
        await let_in.wait()
        [first] = [await order for order in orders.values()]
        first_done.set()
        second = await waiting
    assert first.answer.status_code == 200
    both = {("user", "olga"), ("party", ITSELF)} <= target.system.revocations.revoked.keys()
    return Attempt(str(second.answer.status_code), both, second.reasons, Reason.REVOKED)


class Kept(Scene):
    """The folder where an operator's `zt` keeps a sign-in, and Keycloak, which grants what it is asked."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.file = place / "zt"
        self.asked: list[httpx.Request] = []

    def keeper(self) -> Keeper:
        return Keeper(Client(ISSUER, "zt", "registry.admin", None))  # type: ignore[arg-type] # nothing is connected

    def keep(self) -> Path:
        """Keep a sign-in of somebody; return the file."""
        login = Login(access_token="a", refresh_token="r", id_token="i", expires_in=60, key=Key())
        assert self.keeper().keep("mallory", login)
        return next((self.place / "zt").glob("*.json"))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=metadata())
        self.asked.append(request)
        tokens = {"access_token": token_of("mallory"), "refresh_token": "r", "id_token": "i"}
        return httpx.Response(200, json=tokens | {"expires_in": 60, "token_type": "DPoP"})

    async def resumed(self, patch: pytest.MonkeyPatch) -> Attempt:
        """What comes of a command."""
        transport = httpx.MockTransport(self._answer)
        patch.setattr(Client, "http", lambda _: httpx.AsyncClient(transport=transport))
        try:
            login = await self.keeper().resume()
        except CommandError:
            return Attempt("refused", succeeded=False)
        return Attempt("a new sign-in" if login is None else "as somebody", login is not None)


@attack(506, Kept)
async def test_a_sign_in_of_somebody_else_is_put_where_zt_looks(kept: Kept) -> Tries:
    """Into a folder that others can write, such as after a wrong `XDG_RUNTIME_DIR`, or by a link to another file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(kept.place))
        file = kept.keep()
        file.chmod(0o644)
        yield (await kept.resumed(patch)).stopped_by("kept-sign-in-of-this-account")
        file.chmod(0o600)
        file.rename(kept.place / "planted.json")
        file.symlink_to(kept.place / "planted.json")
        yield (await kept.resumed(patch)).stopped_by("kept-sign-in-no-link")


@attack(507, Kept)
async def test_a_sign_in_is_used_after_its_time(kept: Kept) -> Tries:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(kept.place))
        kept.keep()
        later = time.time() + SIGN_IN_LIFE
        patch.setattr("zt.people.kept.time.time", lambda: later)
        yield await kept.resumed(patch)
