"""F. Token exchange and the chain of who acts for whom, at the real Keycloak.

Whoever tries this is inside a workload, and asks the realm itself.
"""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from itertools import pairwise
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import realm as control
from registration.realm import realm as derive
from registration.realm.users import USERS
from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from tests.support.attack_realm import READING, WRITING, Target, Tried, Tries, alive, attack
from tests.support.real import AGENT_SCOPE, AGENTS, imported
from tests.support.realm import EXCHANGE, SERVER, TOKEN_TYPE, Realm, chain, claims
from tests.support.svid import TrustDomain
from tests.support.system import CHAIN, OTHER_CHAIN
from zerotrust.decision import Reason
from zerotrust.identity import MAX_ACTORS
from zerotrust.registry.model import Registry
from zerotrust.token_validation import TICK
from zt.people.key import Key

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

READER, WRITER, DOCUMENTS = "agent/reader", "agent/writer", "tool/documents"


def _said(answer: httpx.Response) -> dict[str, Any]:
    return claims(answer.json()["access_token"]) if alive(answer) else {}


# --- more than was given ----------------------------------------------------------------------------------------------


@attack(58)
async def test_a_scope_that_was_not_given(target: Target) -> Tries:
    little = await target.t0("task.run agent.invoke")
    t1 = await target.t1()
    no_more, may_hold = str(control.DOWNSCOPE), str(control.DELEGATES)
    for party, subject, audience, scope, by in [
        ("orchestrator", little, WRITER, WRITING, no_more),  # alice does not let anybody write
        (READER, t1, DOCUMENTS, "tool.write", may_hold),  # neither alice nor the registry gave it to the reader
        (READER, t1, DOCUMENTS, "agent.invoke", may_hold),  # spent
        ("orchestrator", little, READER, "offline_access", "Keycloak: no user has the role offline_access"),
        ("orchestrator", little, READER, "openid", no_more),
    ]:
        answer = await target.realm.exchange(party, subject, audience=audience, scope=scope)
        gained = set(scope.split()) <= set(_said(answer).get("scope", "").split())
        # What alice did not give, but the registry would let the orchestrator have: the realm stands alone here.
        yield Tried(answer, gained, Reason.GRANTED if scope == WRITING else None).stopped_by(by)


@attack(59)
async def test_an_audience_that_a_party_may_not_call(target: Target) -> Tries:
    """`resource` (RFC 8707) is no way round: Keycloak does not read it."""
    name, t0, t1 = target.realm.id, await target.t0(), await target.t1()
    may_call, no_client = str(control.MAY_CALL), "Keycloak: there is no such client"
    for party, subject, audience, behind, by in [
        ("orchestrator", t0, DOCUMENTS, Reason.POLICY_DENIED, may_call),
        (READER, t1, WRITER, Reason.SCOPE_MISSING, may_call),
        (READER, t1, READER, Reason.SCOPE_MISSING, may_call),
        (READER, t1, "*", None, no_client),
        (READER, t1, "tool/nobody", None, no_client),
    ]:
        answer = await target.realm.exchange(party, subject, audience=audience, scope="tool.read")
        yield Tried(answer, alive(answer), behind).stopped_by(by)
    for audiences in ([], [name(DOCUMENTS), name("inference")]):
        form = target.realm.form(READER, t1, audience=None, scope="tool.read inference.run")
        answer = await target.realm.token(**form, audience=audiences)
        yield Tried(answer, alive(answer), Reason.AUDIENCE_MISMATCH).stopped_by(str(control.ONE_AUDIENCE))
    answer = await target.realm.exchange(READER, t1, audience=DOCUMENTS, scope="tool.read", resource=name("inference"))
    assert alive(answer)
    yield Tried(answer, _said(answer)["aud"] != name(DOCUMENTS)).stopped_by("Keycloak: no such parameter")


@attack(255)
async def test_another_party_gets_a_token_for_the_model_server(target: Target) -> Tries:
    """With the scope that it may hand down to inference; no gate of ours stands behind the realm there."""
    for party, token in (("orchestrator", await target.t0()), (READER, await target.t1())):
        answer = await target.realm.exchange(party, token, audience=SERVER, scope="llama.chat")
        yield Tried(answer, alive(answer))


@attack(60)
async def test_a_life_longer_than_the_parents_or_than_a_partys(target: Target) -> Tries:
    parent = await target.t1(requested_lifetime="20")
    for wish in ({}, {"requested_lifetime": "99999"}):
        child = await target.realm.exchange(READER, parent, audience=DOCUMENTS, scope="tool.read", **wish)
        # A gate does not see the parent: the realm stands alone here.
        yield Tried(child, _said(child)["exp"] > claims(parent)["exp"], None if wish else Reason.GRANTED)
    t0, ceiling = await target.t0(), target.registry.parties["orchestrator"].max_ttl or 0
    for wish in ({}, {"requested_lifetime": "99999"}):
        long = await target.realm.exchange("orchestrator", t0, audience=READER, scope=READING, **wish)
        lives = _said(long)["exp"] - _said(long)["iat"]
        yield Tried(long, lives > ceiling + TICK, Reason.LIFETIME_EXCEEDED)


# --- another chain, another user --------------------------------------------------------------------------------------


@attack(61)
async def test_a_chain_that_the_requester_made_itself(target: Target) -> Tries:
    for how in (_written, _started_in_the_middle, _started_with_no_user):
        async for tried in how(target):
            yield tried


async def _written(target: Target) -> Tries:
    """Parameters are not read, whatever they are called; and nobody else signs with the realm's key."""
    name, t1 = target.realm.id, await target.t1()
    nicer = json.dumps({"sub": name(WRITER)})
    honest = chain(name(READER), name("orchestrator"))
    for wish in (
        {CHAIN: nicer},
        {"claims": json.dumps({"access_token": {CHAIN: {"value": nicer}}})},
        {"actor": name(WRITER)},
        {"actor_token": await target.t1(WRITER), "actor_token_type": f"{TOKEN_TYPE}access_token"},
        {"may_act": nicer, "lineage": "[]", "txn": "other", "root": json.dumps({"azp": "zt", "iat": 1})},
    ):
        answer = await target.realm.exchange(READER, t1, audience=DOCUMENTS, scope="tool.read", **wish)
        assert alive(answer)
        tried = Tried(answer, _said(answer)[CHAIN] != honest, Reason.ACTOR_MISMATCH)
        yield tried.stopped_by(str(control.ACTOR) if "actor" in wish else "Keycloak: no such parameter")
    for forged in _forged(t1):
        answer = await target.realm.exchange(READER, forged, audience=DOCUMENTS, scope="tool.read")
        yield Tried(answer, alive(answer)).stopped_by("Keycloak: signature")


def _forged(token: str) -> list[str]:
    """The same token with a shorter chain, as somebody makes it who has not the realm's key."""
    head, _, signature = token.split(".")
    header, shorter = jwt.get_unverified_header(token), {**claims(token), CHAIN: None, "lineage": []}
    by_somebody = jwt.encode(shorter, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", header)
    body = by_somebody.split(".")[1]
    unsigned = urlsafe_b64encode(json.dumps({**header, "alg": "none"}).encode()).rstrip(b"=").decode()
    return [by_somebody, f"{head}.{body}.{signature}", f"{unsigned}.{body}.", f"{head}.{body}.", "abc"]


async def _started_in_the_middle(target: Target) -> Tries:
    """A workload may exchange a token of its own, says Keycloak.  The script makes that a dead one."""
    t2 = await target.t2()
    for audience, scope in [("inference", None), (DOCUMENTS, "tool.read")]:
        answer = await target.realm.exchange(READER, t2, audience=audience, scope=scope)
        lost = CHAIN not in _said(answer)
        tried = Tried(answer, alive(answer), Reason.ACTOR_MISSING if lost else Reason.ACTOR_REPEATED)
        yield tried.stopped_by(str(control.DEAD_FIRST), str(control.OWN_TOKEN))


async def _started_with_no_user(target: Target) -> Tries:
    own = await target.realm.token(grant_type="client_credentials", **target.realm.credential("orchestrator"))
    if own.status_code != 200:
        yield Tried(own, succeeded=False).stopped_by(str(control.CHAIN_MISSING))
        return
    answer = await target.realm.exchange(READER, own.json()["access_token"], audience=DOCUMENTS, scope=None)
    tried = Tried(answer, alive(answer), Reason.BAD_CLAIM)  # it belongs to no session
    yield tried.stopped_by(str(control.CHAIN_MISSING))


@attack(172)
async def test_another_department(target: Target) -> Tries:
    """Alice is in one department; dana is in two, and her task is about one of them."""
    t1 = await target.t1()
    for wish in ("/finance", "/operators", "finance", "", "/engineering/interns"):
        answer = await target.realm.exchange(
            READER, t1, audience=DOCUMENTS, scope="tool.read", requested_department=wish
        )
        behind = Reason.GRANTED if wish == "/finance" else Reason.POLICY_DENIED  # the others are no departments
        tried = Tried(answer, _said(answer).get("groups", ["/engineering"]) != ["/engineering"], behind)
        yield tried.stopped_by(str(control.OWN_DEPARTMENT))
    t0 = (await target.login(user="dana")).access_token
    assert sorted(claims(t0)["groups"]) == ["/engineering", "/finance"]
    one = await target.realm.exchanged(
        "orchestrator", t0, audience=READER, scope=READING, requested_department="/finance"
    )
    assert claims(one)["groups"] == ["/finance"]
    for more in ({}, {"requested_department": "/engineering"}):
        answer = await target.realm.exchange(READER, one, audience=DOCUMENTS, scope="tool.read", **more)
        tried = Tried(answer, _said(answer).get("groups", ["/finance"]) != ["/finance"])
        yield tried.stopped_by(str(control.FEWER_GROUPS))


@attack(159)
async def test_an_id_token_that_ends_the_users_session(target: Target) -> Tries:
    """Keycloak ends the session that a hint names, for anybody who shows it, without a cookie or a question."""
    t0 = await target.t0()
    answer = await target.realm.exchange(
        "orchestrator", t0, audience=READER, scope=READING, requested_token_type=f"{TOKEN_TYPE}id_token"
    )
    hint = {"id_token_hint": answer.json()["access_token"]}
    await target.realm.http.get(f"{target.realm.endpoint}/logout", params=hint)
    after = await target.realm.exchange("orchestrator", t0, audience=READER, scope=READING)
    yield Tried(answer, not alive(after))


@attack(62)
async def test_a_token_of_another_user(target: Target) -> Tries:
    t0 = await target.t0()
    bob = USERS["bob"][0]
    for wish in (
        {"requested_subject": bob},
        {"requested_subject": "bob"},
        {"requested_issuer": "spiffe"},
        {"subject_issuer": "spiffe"},
        {"sub": bob, "user_id": bob, "username": "bob", "login_hint": "bob"},
    ):
        answer = await target.realm.exchange("orchestrator", t0, audience=READER, scope=READING, **wish)
        yield Tried(answer, alive(answer) and _said(answer)["sub"] != claims(t0)["sub"])


# --- whose token it is not, or no more --------------------------------------------------------------------------------


@attack(63)
async def test_a_token_that_was_given_to_somebody_else(target: Target) -> Tries:
    t0, t1, t2 = await target.t0(), await target.t1(), await target.t2()
    for party, stolen in [(READER, t0), (WRITER, t0), (WRITER, t1), (WRITER, t2), (DOCUMENTS, t1), (DOCUMENTS, t2)]:
        answer = await target.realm.exchange(party, stolen, audience=DOCUMENTS, scope=None)
        yield Tried(answer, alive(answer))
    public = {"client_id": "walkthrough", "subject_token": t0, "subject_token_type": f"{TOKEN_TYPE}access_token"}
    answer = await target.realm.token(Key(), grant_type=EXCHANGE, **public)
    yield Tried(answer, alive(answer))


@attack(67)
async def test_a_token_whose_time_is_over(target: Target) -> Tries:
    """Also where the revocation comes in the middle: what is asked for after it, is refused."""

    async def exchanged(party: str, token: str, audience: str) -> httpx.Response:
        return await target.realm.exchange(party, token, audience=audience, scope="tool.read")

    expired = await target.t1(requested_lifetime="1")
    while time.time() < claims(expired)["exp"] + 1:  # Keycloak counts whole seconds
        await asyncio.sleep(0.1)
    answer = await exchanged(READER, expired, DOCUMENTS)
    yield Tried(answer, alive(answer))

    revoked = (await target.login()).access_token
    assert alive(await exchanged("orchestrator", revoked, READER))
    form = {"client_id": "walkthrough", "token": revoked, "token_type_hint": "access_token"}
    revocation = target.realm.http.post(f"{target.realm.endpoint}/revoke", data=form)
    done, *_ = await asyncio.gather(revocation, *(exchanged("orchestrator", revoked, READER) for _ in range(5)))
    assert done.status_code == 200
    answer = await exchanged("orchestrator", revoked, READER)
    yield Tried(answer, alive(answer))

    t1 = await target.t1()
    assert alive(await exchanged(READER, t1, DOCUMENTS))
    async with target.keycloak.administration(target.name) as admin:
        ended = await admin.connection.a_raw_delete(f"admin/realms/{target.name}/sessions/{claims(t1)['sid']}")
    assert ended.status_code == 204
    answer = await exchanged(READER, t1, DOCUMENTS)
    yield Tried(answer, alive(answer))


# --- long, looping and truncated chains -------------------------------------------------------------------------------


async def _walked(target: Realm, root: str, walk: list[str]) -> list[str]:
    """The tokens of a walk from agent to agent; the first is the root, the last is held by the last agent."""
    tokens = [root]
    for actor, callee in pairwise(walk):
        tokens.append(await target.exchanged(actor, tokens[-1], audience=callee, scope=AGENT_SCOPE))
    return tokens


@attack(68, "long")
async def test_a_chain_that_never_ends(target: Target) -> Tries:
    root = await target.t0(AGENT_SCOPE)
    *_, full = await _walked(target.realm, root, AGENTS[: MAX_ACTORS + 1])
    ninth, tenth = AGENTS[MAX_ACTORS : MAX_ACTORS + 2]
    answer = await target.realm.exchange(ninth, full, audience=tenth, scope=AGENT_SCOPE)
    yield Tried(answer, alive(answer), Reason.CHAIN_TOO_DEEP)

    a, b, c, *_ = AGENTS
    *_, back = await _walked(target.realm, root, [a, b, c, a])
    answer = await target.realm.exchange(a, back, audience=b, scope=AGENT_SCOPE)
    yield Tried(answer, alive(answer), Reason.ACTOR_REPEATED)


def _faithful(parent: str, child: str) -> bool:
    """Whether a token adds its own party to its parent's chain, and the parent to its lineage, and changes no more."""
    before, after = claims(parent), claims(child)
    act = {"sub": after["azp"]} | ({"act": before[OTHER_CHAIN]} if OTHER_CHAIN in before else {})
    lineage = [*before.get("lineage", []), before["jti"]]
    root = before.get("root", {"azp": before["azp"], "iat": before["iat"]})
    same = after[OTHER_CHAIN] == act and after["lineage"] == lineage and after["txn"] == lineage[0]
    return bool(same and after["root"] == root)


WALKS = st.lists(st.sampled_from(AGENTS[1:]), unique=True, min_size=1, max_size=MAX_ACTORS).map(
    lambda on: [AGENTS[0], *on]
)


@pytest.mark.attack(69, "refused")
@settings(max_examples=8)
@given(walk=WALKS)
async def test_every_token_of_any_chain_has_its_parents_chain_and_itself(
    long: Realm, keycloak: Keycloak, walk: list[str]
) -> None:
    login = await sign_in(
        long.issuer, "walkthrough", "alice", keycloak.passwords["alice"], AGENT_SCOPE, verify=keycloak.tls
    )

    tokens = await _walked(long, login.access_token, walk)

    assert len(tokens) == len(walk)
    assert all(_faithful(parent, child) for parent, child in pairwise(tokens))
    assert {claims(token)["sub"] for token in tokens} == {claims(login.access_token)["sub"]}


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(control.WHOLE_CHAIN, marks=pytest.mark.attack(69, f"succeeds without {control.WHOLE_CHAIN}")),
        pytest.param(control.WHOLE_LINEAGE, marks=pytest.mark.attack(69, f"succeeds without {control.WHOLE_LINEAGE}")),
    ],
    ids=str,
)
async def test_a_chain_that_loses_its_past_is_noticed(
    keycloak: Keycloak,
    http: httpx.AsyncClient,
    trust_domain: TrustDomain,
    long_registry: Registry,
    missing: control.RealmControl,
) -> None:
    derived = control.weaken(derive(long_registry), missing) | {"realm": "weakened"}
    async with imported(keycloak, http, trust_domain, derived) as realm:
        target = Target(realm, keycloak, long_registry, trust_domain)
        root, parent, child = await _walked(realm, await target.t0(AGENT_SCOPE), AGENTS[:3])
        answer = await realm.exchange(AGENTS[1], parent, audience=AGENTS[2], scope=AGENT_SCOPE)

        assert _faithful(root, parent)
        assert not _faithful(parent, child)
        assert await target.at_the_gate(answer) is Reason.LINEAGE_MISMATCH


# --- who asks, and how ------------------------------------------------------------------------------------------------


@attack(75)
async def test_a_client_that_is_none_or_does_not_prove_it(target: Target) -> Tries:
    name, t0 = target.realm.id, await target.t0()

    async def asked(**form: str) -> Tried:
        tokens = {"subject_token": t0, "subject_token_type": f"{TOKEN_TYPE}access_token"}
        wanted = {"audience": name(READER), "scope": READING}
        answer = await target.realm.token(grant_type=EXCHANGE, **tokens, **wanted, **form)
        return Tried(answer, alive(answer), Reason.GRANTED).stopped_by("Keycloak: the bundle's keys")

    yield await asked()
    yield await asked(client_id=name("orchestrator"))  # method `none`
    yield await asked(client_id="nobody")
    yield await asked(client_id="admin-cli")
    yield await asked(**target.realm.credential("agent/nobody"))
    yield await asked(**target.realm.credential("authority/attestation"))  # a party, but not one that gets tokens
    yield await asked(**target.realm.credential("agent/nobody"), client_id=name("orchestrator"))
    for assertion in await _bad_assertions(target):
        yield await asked(**(target.realm.credential("orchestrator") | {"client_assertion": assertion}))
    yield await asked(client_id=name("orchestrator"), client_secret="a guess")
    # Keycloak makes up a secret for every such client; whoever reads it in the admin page has nothing.
    async with target.keycloak.administration(target.name) as admin:
        client = str(await admin.a_get_client_id(name("orchestrator")))
        secret = (await admin.a_get_client_secrets(client))["value"]
    with_its_secret = await asked(client_id=name("orchestrator"), client_secret=secret)
    yield with_its_secret.stopped_by(str(control.NO_SECRETS))
    # No client of those that come with every realm takes a user's password.
    password = {"username": "alice", "password": target.keycloak.passwords["alice"]}
    answer = await target.realm.token(grant_type="password", client_id="admin-cli", **password)
    yield Tried(answer, alive(answer)).stopped_by(str(control.NO_PASSWORD_GRANT))


async def _bad_assertions(target: Target) -> list[str]:
    good = target.realm.credential("orchestrator")["client_assertion"]
    head, body, signature = good.split(".")
    other = {**claims(good), "sub": target.realm.id(READER)}
    by_somebody = jwt.encode(other, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")
    return [by_somebody, f"{head}.{body}.", f"{head}.{by_somebody.split('.')[1]}.{signature}", await target.t0(), "abc"]


@attack(76)
async def test_a_request_that_is_not_as_rfc_8693_has_it(target: Target) -> Tries:
    realm, t0, t1 = target.realm, await target.t0(), await target.t1()
    good = realm.form("orchestrator", t0, audience=READER, scope=READING)
    assert alive(await realm.token(**good))
    for wrong in (
        {"subject_token_type": f"{TOKEN_TYPE}refresh_token"},
        {"subject_token_type": f"{TOKEN_TYPE}id_token"},
        {"subject_token_type": f"{TOKEN_TYPE}jwt"},
        {"subject_token_type": ""},
        {"subject_token": ""},
        {"requested_token_type": f"{TOKEN_TYPE}saml2"},
    ):
        answer = await realm.token(**good | wrong)
        yield Tried(answer, alive(answer))
    other = good | {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": t0}
    answers = [await realm.token(**other)]
    # Whoever takes the first and whoever takes the last of two must not be able to disagree.
    for field, values in {
        "subject_token": [t0, t1],
        "scope": [READING, WRITING],
        "grant_type": [EXCHANGE, "client_credentials"],
        "requested_lifetime": ["1", "100"],
    }.items():
        answers.append(await realm.token(**good | {field: values}))
    answers.append(await realm.http.post(f"{realm.endpoint}/token", json=good))
    for method in ("GET", "POST"):  # a token in an address is a token in a log
        answers.append(await realm.http.request(method, f"{realm.endpoint}/token", params=good))
    for answer in answers:
        yield Tried(answer, alive(answer))


@attack(77)
async def test_a_refresh_token_in_the_chain(target: Target) -> Tries:
    login = await target.login()
    wish = f"{TOKEN_TYPE}refresh_token"
    good = {"audience": READER, "scope": READING}
    granted = await target.realm.exchange("orchestrator", login.access_token, **good)
    assert alive(granted)
    yield Tried(granted, "refresh_token" in granted.json()).stopped_by("Keycloak: no refresh token unless asked for")
    answer = await target.realm.exchange("orchestrator", login.access_token, **good, requested_token_type=wish)
    tried = Tried(answer, alive(answer) and "refresh_token" in answer.json())
    yield tried.stopped_by(str(control.NO_REFRESH_TOKEN))
    for kind in ("access_token", "refresh_token"):
        answer = await target.realm.exchange(
            "orchestrator", login.refresh_token, **good, subject_token_type=f"{TOKEN_TYPE}{kind}"
        )
        yield Tried(answer, alive(answer)).stopped_by("Keycloak: access tokens only")
    form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token}
    answer = await target.realm.token(**form, **target.realm.credential("orchestrator"))
    yield Tried(answer, alive(answer)).stopped_by("Keycloak: only whom it names")
