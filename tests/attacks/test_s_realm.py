"""S. Operators and sessions, at the real Keycloak: who is kept out, and what a sign-in leaves behind."""

import asyncio

import httpx
import pytest

from lab.realm import BINDING_DEAD_FIRST, BOUND, PKCE, REFRESH_BOUND
from testkit.browser import Person, sign_in
from tests.support.attack_realm import Target, Tried, Tries, alive, attack
from tests.support.real import EVERYTHING
from tests.support.realm import VERIFIER, asked_at, claims, code_in, code_of, redeeming
from zt.people.device import GRANT
from zt.people.key import Key
from zt.people.login import LoginError

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


SIGN_INS = (("walkthrough", EVERYTHING), ("zt", "registry.admin"))


async def _signs_in(target: Target, password: str) -> httpx.Response:
    """What comes of it, as the token endpoint would answer."""
    try:
        login = await sign_in(
            target.realm.issuer, "walkthrough", "alice", password, EVERYTHING, verify=target.keycloak.tls
        )
    except LoginError:
        return httpx.Response(401, json={"error": "access_denied"})
    return httpx.Response(200, json={"access_token": login.access_token})


async def _after_signing_in(target: Target, action: str) -> str:
    """Where Keycloak sends alice's browser once her password was right."""
    request = asked_at("walkthrough", "task.run") | {"kc_action": action}
    async with _browser(target) as browser:
        page = await browser.get("/auth", params=request)
        return str((await Person("alice", target.password).fill_in(browser, page)).headers["Location"])


async def _code(target: Target, asked: dict[str, str]) -> str | None:
    """The code for alice, by an authorization request that anybody can make."""
    return await code_of(Person("alice", target.password), target.realm, target.keycloak.tls, asked)


def _browser(target: Target) -> httpx.AsyncClient:
    endpoint = f"{target.realm.issuer}/protocol/openid-connect"
    return httpx.AsyncClient(base_url=endpoint, verify=target.keycloak.tls, trust_env=False, timeout=30)


@attack(180)
async def test_wrong_passwords_lock_out_whoever_has_the_right_one(target: Target) -> Tries:
    """Keycloak's lock-out counts by user, so whoever knows a name can have its owner refused."""
    for number in range(6):
        assert not alive(await _signs_in(target, f"a guess {number}"))
    answer = await _signs_in(target, target.password)
    yield Tried(answer, not alive(answer))


@attack(181)
async def test_a_sign_in_of_an_operator_is_refreshed_for_longer_than_its_time(target: Target) -> Tries:
    """A command refreshes it; whoever has file and key could go on like this until the session ends, after an hour."""
    login = await sign_in(
        target.realm.issuer, "zt", "alice", target.password, "registry.admin", verify=target.keycloak.tls
    )
    await asyncio.sleep(2)  # the times are in seconds
    form = {"grant_type": "refresh_token", "client_id": "zt", "refresh_token": login.refresh_token}
    answer = await target.realm.token(login.key, **form)
    yield Tried(answer, claims(answer.json()["refresh_token"])["exp"] > claims(login.refresh_token)["exp"])


@attack(185)
async def test_a_user_changes_what_they_sign_in_with(target: Target) -> Tries:
    """By an application-initiated action; one of them, of a linked identity, ended in an internal error."""
    for action in ("UPDATE_PASSWORD", "UPDATE_PROFILE", "delete_credential:any", "CONFIGURE_TOTP", "idp_link:spiffe"):
        location = await _after_signing_in(target, action)
        answer = httpx.Response(200, json={"access_token": await target.t0()})
        yield Tried(answer, "/login-actions/required-action" in location)


@attack(188)
async def test_a_link_has_a_browser_that_is_signed_in_send_a_code_to_whoever_listens(target: Target) -> Tries:
    """The redirect address is a port of this machine, and the attacker made the link: it knows the PKCE verifier."""
    async with _browser(target) as browser:
        page = await browser.get("/auth", params=asked_at("walkthrough", "task.run"))
        signed_in = await Person("alice", target.password).fill_in(browser, page)
        assert "code=" in signed_in.headers["Location"]
        for client, scope in SIGN_INS:
            for more in ({}, {"prompt": "none"}, {"max_age": "3600"}, {"login_hint": "alice"}):
                link = await browser.get("/auth", params=asked_at(client, scope) | more)
                code = code_in(link)
                got = code is not None and alive(await target.realm.token(Key(), **redeeming(client, code)))
                answer = httpx.Response(200, json={"access_token": await target.t0()})
                yield Tried(answer, got)


@attack(412)
async def test_a_link_of_somebody_else_asks_an_operator_for_the_password_and_for_nothing_else(target: Target) -> Tries:
    """The page is Keycloak's own, and Keycloak remembers what the operator has confirmed at `zt` before."""
    person = Person("alice", target.password)
    for client, scope in (("zt", "registry.admin"), ("zt-policy", "policy.admin")):
        assert await _code(target, asked_at(client, scope))
        for more in ({}, {"prompt": "login"}, {"prompt": "none"}):
            async with _browser(target) as browser:
                page = await browser.get("/auth", params=asked_at(client, scope) | more)
                code = code_in(await person.fill_in(browser, page))
                got = code is not None and alive(await target.realm.token(Key(), **redeeming(client, code)))
            answer = httpx.Response(200, json={"access_token": await target.t0()})
            yield Tried(answer, got)


@attack(222)
async def test_a_code_without_the_verifier(target: Target) -> Tries:
    """It is in the address of the redirect, so in the browser's history, and a proxy or a log may have it."""
    asked = asked_at("zt", "registry.admin")
    linked = {name: value for name, value in asked.items() if not name.startswith("code_challenge")}
    checked = "Keycloak: the verifier is checked"
    for link, verifier, by in ((asked, "", checked), (asked, "x" * 43, checked), (linked, "", str(PKCE))):
        code = await _code(target, link)
        assert code or link is linked
        form = redeeming("zt", code or "none") | {"code_verifier": verifier}
        answer = await target.realm.token(Key(), **{name: value for name, value in form.items() if value})
        yield Tried(answer, alive(answer)).stopped_by(by)


@attack(440)
async def test_a_code_with_its_verifier_and_a_key_of_the_thiefs_own(target: Target) -> Tries:
    """The user's client named its own key in the authorization request (RFC 9449 section 10)."""
    for client, scope in SIGN_INS:
        code = await _code(target, asked_at(client, scope) | {"dpop_jkt": Key().thumbprint})
        answer = await target.realm.token(Key(), **redeeming(client, str(code)))
        yield Tried(answer, alive(answer))


@attack(441)
async def test_a_sign_in_whose_token_is_bound_to_no_key(target: Target) -> Tries:
    """Where the setting is gone, the script that writes the key still ends the token that has none."""
    for (client, scope), by in zip(SIGN_INS, (f"{BOUND} and {BINDING_DEAD_FIRST}", str(BOUND)), strict=True):
        code = await _code(target, asked_at(client, scope))
        answer = await target.realm.token(**redeeming(client, str(code)))
        yield Tried(answer, alive(answer)).stopped_by(by)


@attack(442)
async def test_a_refresh_token_without_its_key(target: Target) -> Tries:
    login = await target.login()
    form = {"grant_type": "refresh_token", "client_id": "walkthrough", "refresh_token": login.refresh_token}
    for key, by in ((None, "Keycloak: a proof is required"), (Key(), str(REFRESH_BOUND))):
        answer = await target.realm.token(key, **form)
        yield Tried(answer, alive(answer)).stopped_by(by)


@attack(224)
async def test_a_device_code_for_a_client_that_needs_none(target: Target) -> Tries:
    """Whoever confirms it signs in for the attacker, who waits for the token elsewhere (RFC 8628 section 5.4)."""
    asked = asked_at("", "")
    challenge = {name: asked[name] for name in ("code_challenge", "code_challenge_method")}
    orchestrator = {"client_id": target.realm.id("orchestrator")}
    for client, scope in (({"client_id": "walkthrough"}, EVERYTHING), (orchestrator, "agent.invoke tool.read")):

        def credential(client: dict[str, str] = client) -> dict[str, str]:
            return client | (target.realm.credential("orchestrator") if client is orchestrator else {})

        form = credential() | challenge | {"scope": scope}
        answer = await target.realm.http.post(f"{target.realm.endpoint}/auth/device", data=form)
        if answer.status_code == 200:
            begun = answer.json()
            await Person("alice", target.password).visit(begun["verification_uri_complete"], target.keycloak.tls)
            poll = {"grant_type": GRANT, "device_code": begun["device_code"], "code_verifier": VERIFIER}
            answer = await target.realm.token(Key(), **poll, **credential())
        yield Tried(answer, alive(answer))


@attack(164)
async def test_strangers_fill_the_database_with_what_they_were_refused(target: Target) -> Tries:
    """Each refused request used to be an event of about 480 bytes, for ever."""
    before = len(await target.events())
    for number in range(10):
        answer = await target.realm.token(grant_type="client_credentials", client_id=f"nobody-{number}")
        assert not alive(answer)
    answer = httpx.Response(200, json={"access_token": await target.t0()})
    yield Tried(answer, len(await target.events()) >= before + 10)
