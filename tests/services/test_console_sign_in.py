"""What holds a person's session at the console together, in process: renewals, the second sign-in, and the end."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from console.sessions import SIGN_IN, Session, Sessions, state_of
from testkit.issuer import ISSUER
from testkit.wire import Wire
from tests.support.console import AT, CONSOLE, Browser, Consoled
from tests.support.waiting import until
from zerotrust.hardening.in_flight import OF_A_PERSON
from zerotrust.spiffe.svid import Peer

HTML, SHORT = {"accept": "text/html"}, 4
"""`SHORT`: seconds that a token lives so that each request renews it."""
FOR_REGISTRY = "/operate/sign-in"


@contextmanager
def slow(here: Consoled) -> Iterator[list[str]]:
    """Have Keycloak do what it is asked at once, and answer after the block; the list has the paths that were asked."""
    apps, asked, may_answer = here.system.apps, list[str](), asyncio.Event()
    [at] = [one for one in apps if ISSUER.startswith(one)]
    realm = apps[at]

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            await may_answer.wait()
            await send(message)

        asked.append(scope["path"])
        await realm(scope, receive, sending)

    apps[at] = late
    yield asked
    may_answer.set()
    apps[at] = realm


async def test_a_sign_out_ends_the_session_while_keycloak_is_away_also_if_the_token_has_ended(here: Consoled) -> None:
    here.realm.life = SHORT
    alice = await here.person("alice")
    form = {"form_token": await alice.form_token()}
    here.realm.down = True

    answer = await alice.http.post("/sign-out", data=form, headers={"origin": AT} | HTML)

    assert (answer.status_code, "did not confirm the sign-out" in answer.text) == (503, True)
    here.realm.down = False
    assert "Sign in at Keycloak" in (await alice.http.get("/")).text


async def test_what_a_renewal_brings_is_kept_if_the_request_that_needs_it_is_cut_off(here: Consoled) -> None:
    """A refresh token works once.  A task has a token renewed that does not last; here the certificate ends first."""
    here.realm.life = 100
    alice = await here.person("alice")
    form = {"form_token": await alice.form_token(), "request": "Read the incident reports."}
    ending = Wire(here.system.apps, Peer(None, time.time() + 3))
    with slow(here) as asked:
        async with httpx.AsyncClient(transport=ending, base_url=AT, cookies=alice.http.cookies, timeout=30) as browser:
            answer = await browser.post("/tasks", data=form, headers={"origin": AT})
        assert (answer.status_code, len(asked)) == (401, 1), answer.text

    await alice.start("Read the incident reports.")
    assert "Signed in as" in (await alice.http.get("/")).text


async def test_requests_that_wait_for_keycloak_are_counted_as_their_persons(here: Consoled) -> None:
    """Others are served, and the person is told when to try again."""
    bob = await here.person("bob")
    here.realm.life = SHORT
    alice = await here.person("alice")
    with slow(here):
        waiting = [asyncio.create_task(alice.http.get("/", headers=HTML)) for _ in range(OF_A_PERSON + 2)]
        await until(lambda: sum(one.done() for one in waiting) == 2)
        refused = [one.result() for one in waiting if one.done()]
        assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(429, "1")}
        assert "Signed in as <b>bob</b>" in (await bob.http.get("/")).text
    await asyncio.gather(*waiting)


async def test_a_request_that_waited_for_its_turn_is_refused_after_the_sign_out(
    here: Consoled, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.realm.life, ended, end = SHORT, list[Session](), Sessions.end

    def ending(sessions: Sessions, session: Session) -> None:
        end(sessions, session)
        ended.append(session)

    monkeypatch.setattr(Sessions, "end", ending)
    alice = await here.person("alice")
    form = {"form_token": await alice.form_token()}
    with slow(here) as asked:
        first, second = [asyncio.create_task(alice.http.get("/")) for _ in range(2)]
        await until(lambda: asked)
        leaving = asyncio.create_task(alice.http.post("/sign-out", data=form, headers={"origin": AT}))
        await until(lambda: ended)

    assert (await leaving).status_code == 303
    assert (await second).status_code == 401
    await first


async def test_a_renewal_that_brings_another_users_token_ends_the_session(here: Consoled) -> None:
    here.realm.life = SHORT
    alice = await here.person("alice")
    here.realm.refresh = {key: ("bob", scope) for key, (_, scope) in here.realm.refresh.items()}

    answer = await alice.http.get("/")

    assert (answer.status_code, "bob" in answer.text) == (401, False)
    assert "Sign in at Keycloak" in (await alice.http.get("/")).text


async def test_a_token_with_an_actor_is_no_sign_in(here: Consoled) -> None:
    """It would be limited as a party's, and not as a person's."""
    own, now = here.system.registry.id(CONSOLE), int(here.realm.clock())
    here.realm.spoilt = {here.system.registry.chain_claim: {"sub": own}, "lineage": ["t"], "txn": "t"}
    here.realm.spoilt |= {"root": {"azp": own, "iat": now}}
    browser = here.browser()
    asked = await browser.begin()

    answer = await browser.back(code=browser.code("alice", asked), state=asked["state"], iss=ISSUER)

    assert (answer.status_code, answer.json()["reason"]) == (401, "not_bound")


async def _operating(here: Consoled) -> tuple[Browser, dict[str, str]]:
    """The browser of olga, who has begun to sign in for the registry; and what comes back of that from Keycloak."""
    olga = await here.person("olga")
    return olga, {"state": (await olga.begin(FOR_REGISTRY))["state"], "iss": ISSUER}


async def test_no_refresh_token_of_a_sign_in_for_the_registry_is_kept(
    here: Consoled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what a thief of the console's memory can order ends with the token, after five minutes."""
    begun, begin = list[Session](), Sessions.begin

    def beginning(sessions: Sessions, session: Session) -> str:
        begun.append(session)
        return begin(sessions, session)

    monkeypatch.setattr(Sessions, "begin", beginning)
    await (await here.person("olga")).sign_in("olga", FOR_REGISTRY)

    [session] = begun
    assert session.operator
    kept = str([getattr(session, one.name) for one in fields(session)])
    [of_registry] = [token for token, (_, scope) in here.realm.refresh.items() if "registry.admin" in scope]
    assert session.refresh_token in kept
    assert of_registry not in kept


@pytest.mark.parametrize("back", [{"error": "access_denied"}, {"code": "used"}, {"iss": "https://attacker.test"}])
async def test_a_failed_sign_in_for_the_registry_is_told_in_the_session_which_goes_on(
    here: Consoled, back: dict[str, str]
) -> None:
    olga, good = await _operating(here)

    answer = await olga.http.get("/callback", params=good | back, headers=HTML)

    assert answer.status_code == 400
    assert "Signed in as <b>olga</b>" in answer.text
    assert "Signed in as <b>olga</b>" in (await olga.http.get("/")).text


async def test_of_two_sign_ins_that_a_browser_begins_the_later_one_counts(here: Consoled) -> None:
    olga, earlier = await _operating(here)
    code = olga.code("olga", await olga.begin(FOR_REGISTRY))

    answer = await olga.back(**earlier, code=code)

    assert (answer.status_code, answer.json()["reason"]) == (400, "another_browser")


async def test_each_of_the_two_sign_ins_asks_for_its_own_scopes_alone(here: Consoled) -> None:
    olga = await here.person("olga")

    first, second = [{*(await olga.begin(at))["scope"].split()} for at in ("/sign-in", FOR_REGISTRY)]

    assert {"task.run", "aud:orchestrator"} <= first
    assert "registry.admin" not in first
    assert second == {"registry.admin", "aud:authority/registry"}


async def test_a_browser_that_has_begun_no_sign_in_ends_none(here: Consoled) -> None:
    for none in ("", "None"):
        answer = await here.browser().back(code="x", state=state_of(none, "9999999999"), iss=ISSUER)

        assert (answer.status_code, answer.json()["reason"]) == (400, "another_browser")


async def test_a_field_that_is_sent_twice_is_none(here: Consoled) -> None:
    alice = await here.person("alice")
    token, own = await alice.form_token(), {"origin": AT}
    for form, status in (
        ({"form_token": [token], "request": ["Read.", "Delete."]}, 400),
        ({"form_token": [token, token], "request": ["Read."]}, 403),
        ({"form_token": [], "request": ["Read."]}, 403),
        ({"form_token": [token], "request": ["Read."]}, 303),
    ):
        assert (await alice.http.post("/tasks", data=form, headers=own)).status_code == status


async def test_a_sign_in_that_was_begun_too_long_ago_is_refused(here: Consoled) -> None:
    browser = here.browser()
    asked = await browser.begin()
    old = state_of(browser.http.cookies[SIGN_IN], "1")

    answer = await browser.back(code=browser.code("alice", asked), state=old, iss=ISSUER)

    assert (answer.status_code, answer.json()["reason"]) == (400, "another_browser")


async def test_a_sign_in_for_the_registry_that_begins_another_session_is_refused_and_that_session_ends(
    here: Consoled,
) -> None:
    """A sign-out at the console ends one session at Keycloak."""
    olga = await here.person("olga")
    asked, here.realm.spoilt = await olga.begin(FOR_REGISTRY), {"sid": "another-session"}

    answer = await olga.back(code=olga.code("olga", asked), state=asked["state"], iss=ISSUER)

    assert (answer.status_code, answer.json()["reason"]) == (400, "another_person")
    assert here.realm.signed_out == ["olga"]
    assert [scope for _, scope in here.realm.refresh.values() if "registry.admin" in scope] == []
    assert "Signed in as <b>olga</b>" in (await olga.http.get("/")).text


async def test_a_stream_that_a_revocation_cuts_off_is_on_record_as_refused(here: Consoled) -> None:
    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    here.system.apps[here.system.addresses["orchestrator"]] = never
    bob = await here.person("bob")
    path = await bob.start("Read the incident reports.")
    following = asyncio.create_task(bob.http.get(f"{path}/hops"))
    await asyncio.sleep(0.2)  # it has begun by then; if it has not, the request is refused, and that is on record, too
    here.system.revocations.change(1, ("user", "bob"), "left")
    told = await following

    assert "event: error" in told.text
    reasons = [record.get("reason") for record in here.system.records(CONSOLE) if record.get("subject") == "bob"]
    assert "not_signed_in" in reasons
