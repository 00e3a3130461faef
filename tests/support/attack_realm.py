"""The same at the real Keycloak: an attack is tried on the realm as it is, and on a copy without what stops it.

    @attack(58)
    async def test_a_scope_that_was_not_given(target: Target) -> Tries:
        answer = await target.realm.exchange("orchestrator", little, audience="agent/writer", scope="tool.write")
        yield Tried(answer, alive(answer))

The attacker is inside a workload: it has the workload's own genuine credential and the tokens that it was given, and
asks the realm itself, with no code of ours in between.  As it is, each attempt must fail, leave no event in Keycloak's
database, which a stranger would fill, and be a refusal to our own client too, which puts it on record.  Without any one
of the row's controls, one in two must succeed at least; an attempt may say what the gate that is meant would make of
the token that came out.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest

from lab.realm import RealmControl, weaken
from registration.realm import realm as derive
from start.keycloak.server import Keycloak
from testkit import Identity, principal
from testkit.browser import sign_in
from tests.attacks.table import ROWS, Missing
from tests.support.attack_cases import Try, cases, check_that_half_succeed, check_what_they_are_about
from tests.support.issuer import Known
from tests.support.leaks import holds_token
from tests.support.real import EVERYTHING, imported
from tests.support.realm import Realm, claims
from tests.support.svid import TrustDomain
from tests.support.system import CHAIN, POLICY, fresh_revocations, svid_of
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.identity import UnverifiedToken
from zerotrust.issuer.client import IssuerClient
from zerotrust.issuer.exchange import Exchanger, TokenRequest
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of
from zerotrust.token_validation import Expected, verify_token
from zt.people.login import Login

READING = "agent.invoke tool.read inference.run llama.chat"
WRITING = "agent.invoke tool.write inference.run llama.chat"


@dataclass
class Tried(Try):
    """One attempt: what Keycloak answered, and whether the attacker got what it wanted."""

    answer: httpx.Response
    succeeded: bool
    behind: Reason | None = None
    """What the gate would say, were the realm without the control; GRANTED where nobody stands behind the realm."""

    @property
    def refused(self) -> bool:
        """Whether anything was refused: a parameter may also simply be ignored."""
        return not alive(self.answer)

    @property
    def told(self) -> str:
        """The answer, for the table."""
        if self.answer.status_code == 200:
            return "200 dead" if self.refused else "200 without effect"
        error = self.answer.json()["error"]
        return f"{self.answer.status_code} {'' if ' ' in error else error}".strip()


Tries = AsyncIterator[Tried]


def alive(answer: httpx.Response) -> bool:
    """Whether a token came out that has any time to live."""
    return answer.status_code == 200 and claims(answer.json()["access_token"])["exp"] > time.time()


class Target:
    """A realm, as somebody meets it who is inside a workload."""

    def __init__(self, realm: Realm, keycloak: Keycloak, registry: Registry, trust_domain: TrustDomain) -> None:
        self.realm, self.keycloak, self.registry, self.trust_domain = realm, keycloak, registry, trust_domain
        self._t0: dict[str, str] = {}

    async def login(self, scope: str = EVERYTHING, user: str = "alice") -> Login:
        """Alice signs in, for a session of its own, or dana, who is in two departments."""
        return await sign_in(
            self.realm.issuer, "walkthrough", user, self.keycloak.passwords[user], scope, verify=self.keycloak.tls
        )

    @property
    def password(self) -> str:
        """Alice's."""
        return self.keycloak.passwords["alice"]

    async def t0(self, scope: str = EVERYTHING) -> str:
        """Alice's own token, the same each time."""
        if scope not in self._t0:
            self._t0[scope] = (await self.login(scope)).access_token
        return self._t0[scope]

    async def t1(self, agent: str = "agent/reader", **more: str) -> str:
        """What the orchestrator gives to an agent: a good request, which the realm grants."""
        scope = READING if agent == "agent/reader" else WRITING
        return await self.realm.exchanged("orchestrator", await self.t0(), audience=agent, scope=scope, **more)

    async def t2(self, **more: str) -> str:
        """What the reader gives to the tool."""
        return await self.realm.exchanged(
            "agent/reader", await self.t1(), audience="tool/documents", scope="tool.read", **more
        )

    @property
    def name(self) -> str:
        """The realm's name."""
        return self.realm.issuer.rpartition("/")[2]

    async def events(self) -> dict[str, dict[str, Any]]:
        """What Keycloak has kept."""
        async with self.keycloak.administration(self.name) as admin:
            return {event["id"]: event for event in await admin.a_get_events({"max": "500"})}

    async def at_the_gate(self, answer: httpx.Response) -> ReasonCode:
        """What the party that a token names would say of it, were this realm its own."""
        token = answer.json()["access_token"]
        audience = claims(token)["aud"]
        known = (await self.realm.http.get(f"{self.realm.endpoint}/certs")).json()["keys"]
        key = jwt.PyJWK(known[0]).key
        parties = self.registry.parties
        expected = Expected(
            issuer=self.realm.issuer,
            audience=audience[0] if isinstance(audience, list) else audience,
            chain_claim=self.registry.chain_claim,
            max_ttls={self.registry.id(name): party.max_ttl for name, party in parties.items() if party.max_ttl},
            initiating_clients=frozenset(),
            without_certificate=frozenset(),
            peers={},
        )
        try:
            caller = verify_token(UnverifiedToken(token), key=key, expected=expected, now=claims(token)["iat"])
        except Denied as refusal:
            return refusal.reason
        policy = policy_of(POLICY, self.registry)
        name = expected.audience.removeprefix(f"spiffe://{self.registry.trust_domain}/")
        served = set(self.registry.scopes_at(name)) & caller.scopes
        return policy.decide(caller, next(iter(served), ""), expected.audience).reason


async def our_own_client_says(answer: httpx.Response) -> ReasonCode:
    """What `zerotrust/issuer/exchange.py` makes of this very answer, and so what a service puts on record."""
    notes: list[Any] = []

    async def note(record: Any) -> None:
        notes.append(record)

    said = claims(answer.json()["access_token"]) if answer.status_code == 200 else {}
    scopes = frozenset(str(said.get("scope", "")).split())
    caller = principal(subject=said.get("sub", "alice"), party="orchestrator", scopes=scopes, expires_at=2**40)
    transport = httpx.MockTransport(lambda _: httpx.Response(answer.status_code, content=answer.content))
    async with httpx.AsyncClient(transport=transport) as http:
        exchanger = Exchanger(
            issuer=IssuerClient(Known(), Identity(svid_of("orchestrator")), http),
            chain_claim=CHAIN,
            revocations=fresh_revocations(),
            record=note,
        )
        with pytest.raises(Denied):
            await exchanger.exchange(caller, TokenRequest(str(said.get("aud")), scopes))
    return Reason[notes[-1].decision.reason.upper()]


def attack(number: int, fixture: str = "") -> Callable[[Callable[[Target], Tries]], Callable[..., Any]]:
    """Make two kinds of tests of one attack; see the head of this file.

    `long` as the second argument names the realm of many agents in the place of the committed one.
    """
    row = ROWS[number]

    def decorate(try_it: Callable[[Target], Tries]) -> Callable[..., Any]:
        @pytest.mark.parametrize("missing", cases(number, row.removable_at_the_realm))
        async def test(
            missing: tuple[Missing, ...],
            keycloak: Keycloak,
            http: httpx.AsyncClient,
            trust_domain: TrustDomain,
            realm: Realm,
            long: Realm,
            registry: Registry,
            long_registry: Registry,
            record_property: Callable[[str, object], None],
        ) -> None:
            attacked, known = (long, long_registry) if fixture == "long" else (realm, registry)
            async with AsyncExitStack() as stack:
                if missing:
                    controls = [control for control in missing if isinstance(control, RealmControl)]
                    derived = weaken(derive(known), *controls) | {"realm": "weakened"}
                    here = ("alice", "dana")  # a password costs time, and these are enough
                    derived["users"] = [user for user in derived["users"] if user["username"] in here]
                    attacked = await stack.enter_async_context(imported(keycloak, http, trust_domain, derived))
                target = Target(attacked, keycloak, known, trust_domain)
                before = {} if missing else await target.events()
                tries = [tried async for tried in try_it(target)]
                assert tries
                if missing:
                    check_that_half_succeed(tries, missing, record_property)
                    for tried in (one for one in tries if one.succeeded):
                        assert not tried.behind or await target.at_the_gate(tried.answer) is tried.behind
                    return
            check_what_they_are_about(tries, row, record_property)
            for tried in tries:
                assert not tried.succeeded, tried.answer.text
                assert not tried.refused or await our_own_client_says(tried.answer) is row.reason
            events = {name: event for name, event in (await target.events()).items() if name not in before}
            assert [event for event in events.values() if event["type"].endswith("_ERROR")] == []
            assert not holds_token(keycloak.log.read_bytes())
            record_property("answers", ", ".join(sorted({tried.told for tried in tries})))

        test.__name__, test.__doc__ = try_it.__name__, try_it.__doc__
        return test

    return decorate
