"""The console in process: signing in, a task hop by hop, and who sees which."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from weakref import WeakSet

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console import run
from console.admission import HEADERS, MAX_FORM, MOST_FIELDS
from console.sessions import SESSION, SIGN_IN
from console.sign_in import LONGEST_NAME
from testkit.issuer import ISSUER
from testkit.wire import Wire
from tests.support.console import AT, CONSOLE, FRONT, Consoled
from tests.support.leaks import holds_token
from tests.support.waiting import until
from zerotrust.context import current_principal
from zerotrust.decision import Denied, Reason
from zerotrust.lifetime import run_in_background
from zerotrust.spiffe.svid import Peer

TASK, HTML = "Read the incident reports and file a summary.", {"accept": "text/html"}


async def test_a_person_signs_in_and_the_browser_has_a_cookie_and_no_token(here: Consoled) -> None:
    browser = here.browser()
    asked = await browser.begin()
    answer = await browser.back(code=browser.code("alice", asked), state=asked["state"], iss=ISSUER)

    assert asked["client_id"] == here.system.registry.id(CONSOLE)
    assert asked["code_challenge_method"] == "S256"
    session, spent = answer.headers.get_list("set-cookie")
    assert session.startswith(f"{SESSION}=")
    assert {part.strip() for part in session.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=strict", "Secure"}
    assert spent.startswith(f'{SIGN_IN}=""')
    assert answer.headers["refresh"] == "0; url=/"
    home = await browser.http.get("/")
    assert "Signed in as <b>alice</b>" in home.text
    assert not holds_token(home.text + answer.text + str(answer.headers))


async def test_a_task_is_shown_hop_by_hop_while_it_runs(here: Consoled) -> None:
    alice = await here.person("alice")

    events = await alice.hops(await alice.start(TASK))

    hops = [one for one in events if one["event"] == "hop"]
    calls = [(one["from"], one["to"], one["token"]["name"]) for one in hops if one["kind"] == "call"]
    assert (CONSOLE, FRONT, "T0") in calls
    assert (FRONT, "agent/reader", "T1") in calls
    assert ("agent/reader", "tool/documents", "T2") in calls
    [first] = [one for one in hops if one.get("to") == "agent/reader" and one["kind"] == "call"]
    assert "task.run" in first["token"]["dropped"]
    refused = [one for one in hops if one.get("allowed") is False]
    [finance] = [one for one in refused if one["what"] == "document.read FIN-201"]
    assert {rule["id"] for rule in finance["rules"]} >= {"read-own-department", "read-public"}
    assert all(rule["says"] for one in hops for rule in one.get("rules", ()))
    assert finance["token"]["through"] == ["orchestrator", "agent/reader"]
    tokens = {one["new"]["name"]: (one["from"], one["new"]["for"]) for one in hops if "new" in one}
    tools = {"T2": ("agent/reader", "tool/documents"), "T2w": ("agent/writer", "tool/documents")}
    models = {"T3": ("agent/reader", "inference"), "T3w": ("agent/writer", "inference"), "T1i": (FRONT, "inference")}
    assert tokens == {"T1": (FRONT, "agent/reader"), "T1w": (FRONT, "agent/writer")} | tools | models
    assert all(one["approved"] for one in hops if one["code"])
    assert {one["reason"] for one in refused} >= {"resource_denied", "scope_missing"}
    assert not any({"detail", "facts"} & {*one} for one in hops)
    assert [one["event"] for one in events[-1:]] == ["end"]
    assert [one["text"] for one in events if one["event"] == "answer"] != [""]
    assert not holds_token(str(events))


async def test_an_answer_is_kept_for_so_long(here: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEPT", 0.0)
    alice = await here.person("alice")
    path = await alice.start(TASK)
    first = [one["event"] for one in await alice.hops(path)]

    assert "hop" in first
    assert "answer" not in [one["event"] for one in await alice.hops(path)]


class Sent:
    """What lives as long as the scope of a request."""


async def test_a_kept_answer_keeps_nothing_of_its_request(here: Consoled) -> None:
    eve, app, requests = await here.person("eve"), here.system.apps[AT], WeakSet[Sent]()

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        requests.add(sent := Sent())
        await app({**scope, "sent": sent}, receive, send)

    here.system.apps[AT] = noting
    for _ in range(5):
        path = await eve.start(TASK)
        while (await eve.http.get(f"{path}/answer")).status_code != 200:
            await asyncio.sleep(0.01)
    for _ in range(1_000):  # asyncio, unlike uvloop, drops cancelled timers when there are many
        asyncio.get_running_loop().call_later(60, print).cancel()
    await until(lambda: (gc.collect(), not requests)[1])


async def test_a_stream_goes_on_after_the_hop_that_the_browser_had(here: Consoled) -> None:
    alice = await here.person("alice")
    path = await alice.start(TASK)
    numbers = [one["n"] for one in await alice.hops(path) if one["event"] == "hop"]

    again = await alice.hops(path, **{"last-event-id": str(numbers[-3])})

    assert [one["n"] for one in again if one["event"] == "hop"][:2] == numbers[-2:]  # later records may have come since


async def test_alice_sees_her_tasks_and_an_operator_all_with_the_details_and_others_none(here: Consoled) -> None:
    alice, bob, eve, olga = [await here.person(user) for user in ("alice", "bob", "eve", "olga")]
    await alice.hops(await alice.start(TASK))

    pages = {user: (await browser.http.get("/")).text for user, browser in [("alice", alice), ("olga", olga)]}
    _, id_ = pages["alice"].split(chr(34) + "/tasks/")
    path = f"/tasks/{id_[:32]}"

    assert path in pages["olga"]
    assert [(await one.http.get(path)).status_code for one in (alice, olga, bob, eve)] == [200, 200, 404, 404]
    details = [one["detail"] for one in await olga.hops(path) if "detail" in one]
    assert any("FIN-201" in detail for detail in details)
    [finance] = [one for one in await olga.hops(path) if one.get("what") == "document.read FIN-201"]
    assert (finance["facts"]["department"], finance["groups"]) == ("/finance", ["/engineering"])
    seen = [(one["subject"], one["reason"]) for one in here.system.records(CONSOLE) if one["event"] == "access"]
    assert ("olga", "granted") in seen
    assert ("bob", "resource_denied") in seen


async def test_a_refused_task_is_shown_with_the_reason(here: Consoled) -> None:
    eve = await here.person("eve")

    answer = await eve.http.get(f"{await eve.start(TASK)}/hops")

    assert "policy_denied" in answer.text


async def test_signing_out_ends_the_session_here_and_at_keycloak_and_the_streams(here: Consoled) -> None:
    alice = await here.person("alice")
    path = await alice.start(TASK)
    cookie = alice.http.cookies[SESSION]
    following = asyncio.create_task(alice.http.get(f"{path}/hops"))
    await asyncio.sleep(0.05)

    answer = await alice.send("/sign-out")

    assert answer.status_code == 303
    assert here.realm.signed_out == ["alice"]
    await asyncio.wait_for(following, 5)
    alice.http.cookies.set(SESSION, cookie, domain="console.localhost")
    assert (await alice.http.get(path)).status_code == 401


async def test_a_connection_is_held_in_the_persons_name(here: Consoled) -> None:
    """So that those of one person give way first if there are too many (`hardening/server.py`)."""
    alice, noted, app = await here.person("alice"), list[str](), here.system.apps[AT]

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {**scope["state"], "note_user": noted.append}}, receive, send)

    here.system.apps[AT] = noting
    await alice.http.get("/")

    assert noted == ["alice"]


async def test_a_stream_ends_with_its_connections_certificate(here: Consoled) -> None:
    alice, done = await here.person("alice"), asyncio.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await done.wait()
        await Response("{}", 503)(scope, receive, send)

    here.system.apps[here.system.addresses[FRONT]] = busy
    path = await alice.start(TASK)
    ending = Wire(here.system.apps, Peer(None, time.time() + 0.5))
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient(transport=ending, base_url=AT, cookies=alice.http.cookies, timeout=30) as browser,
    ):
        told = (await browser.get(f"{path}/hops")).text
    done.set()

    assert '"reason":"expired"' in told


async def test_a_sign_out_that_keycloak_does_not_confirm_is_told(here: Consoled) -> None:
    alice = await here.person("alice")
    token = await alice.form_token()
    here.realm.refresh.clear()

    answer = await alice.http.post("/sign-out", data={"form_token": token}, headers={"origin": AT} | HTML)

    assert (answer.status_code, "did not confirm" in answer.text) == (503, True)
    assert "Signed in as" not in answer.text
    assert "Sign in at Keycloak" in (await alice.http.get("/")).text


async def test_a_session_outlives_what_is_not_about_it(here: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keycloak does not know the console now; or nobody has the key of the new token, and the old one is spent."""
    here.realm.life = 4
    alice = await here.person("alice")

    async def no_key(_kid: str) -> None:
        raise Denied(Reason.KEYS_UNAVAILABLE)

    for at, name, fault in (
        (here.realm, "answer", lambda *_: (401, {"error": "invalid_client"})),
        (here.system.services[CONSOLE].keys, "key", no_key),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(at, name, fault)
            assert (await alice.http.get("/")).status_code == 503
        assert "Signed in as" in (await alice.http.get("/")).text


async def test_a_sign_in_that_is_cancelled_asks_keycloak_nothing(here: Consoled) -> None:
    browser = here.browser()
    asked, here.realm.down = await browser.begin(), True

    answer = await browser.back(error="access_denied", state=asked["state"], iss=ISSUER)

    assert (answer.status_code, answer.json()["reason"]) == (400, "sign_in_cancelled")


async def test_a_token_that_ends_is_renewed_and_a_session_without_one_ends(here: Consoled) -> None:
    here.realm.life = 4
    alice = await here.person("alice")
    assert "Signed in as" in (await alice.http.get("/")).text
    here.realm.refresh.clear()

    ended = (await alice.http.get("/", headers=HTML)).text
    assert "You are not signed in" in ended
    assert "a sign-out elsewhere or a long pause has ended your session" in ended
    assert "What you have sent" not in ended
    assert "Sign in at Keycloak" in (await alice.http.get("/")).text


async def test_a_task_lasts_as_long_as_the_token_that_it_is_sent_with(
    here: Consoled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as long as the one of the request that starts it, which may end sooner."""
    ends = list[tuple[float, float]]()

    async def note(name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        ends.append((current_principal().expires_at, here.realm.clock()))
        return await run_in_background(name, work)

    monkeypatch.setattr(run, "run_in_background", note)
    here.realm.life = run.LASTING - 20
    alice = await here.person("alice")
    here.realm.life = 300
    await alice.start(TASK)

    [(end, now)] = ends
    assert end - now > run.LASTING


async def test_every_answer_says_what_may_run_in_it(here: Consoled) -> None:
    alice = await here.person("alice")
    for path in ("/", "/tasks/" + "0" * 32, "/static/console.js", "/static/console.css", "/callback"):
        answer = await alice.http.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path


async def test_a_stranger_sees_the_way_in_and_nothing_else(here: Consoled) -> None:
    stranger = here.browser().http
    assert "Sign in at Keycloak" in (await stranger.get("/")).text
    answers = [await stranger.get("/tasks/" + "0" * 32, headers=how) for how in ({}, HTML)]
    answers += [await stranger.post("/tasks", data={"request": TASK}, headers={"origin": AT} | HTML)]

    assert [one.status_code for one in answers] == [401, 401, 401]
    assert "You are not signed in" in answers[1].text
    assert 'href="/sign-in"' in answers[1].text
    assert ["Your input was not accepted." in one.text for one in answers] == [False, False, True]
    assert not any("ended your session" in one.text for one in answers)
    assert answers[0].json()["reason"] == "not_signed_in"
    assert (await stranger.get("/static/../main.py")).status_code in (404, 401)
    assert (await stranger.get("/static/console.css")).status_code == 200


async def test_nothing_new_is_shown_while_the_log_cannot_be_read(here: Consoled) -> None:
    alice = await here.person("alice")
    ledger = here.system.registry.address(here.system.registry.authorities.audit)
    app = here.system.apps.pop(ledger)

    assert "cannot be read or verified" in (await alice.http.get("/")).text
    here.system.apps[ledger] = app
    while "cannot be read or verified" in (await alice.http.get("/")).text:  # until there is a checkpoint
        await asyncio.sleep(0.01)


async def test_a_browser_that_opens_a_page_is_told_in_words_why_it_does_not_get_it(here: Consoled) -> None:
    alice = await here.person("alice")

    missing = await alice.http.get("/tasks/none", headers=HTML)
    forged = await alice.http.post("/tasks", data={"request": TASK, "form_token": "x"}, headers=HTML | {"origin": AT})

    assert [missing.status_code, forged.status_code] == [404, 403]
    assert "No page has this address" in missing.text
    assert "The form was not sent by a page of the console in this session." in forged.text
    assert "Signed in as" in missing.text
    assert (await alice.http.get("/tasks/none")).json()["reason"] == "application_error"


async def test_the_prepared_task_is_a_button_and_in_the_list(here: Consoled) -> None:
    alice = await here.person("alice")
    answer = await alice.send("/tasks", prepared="yes", request="")
    assert any(one.get("what") == "document.read FIN-201" for one in await alice.hops(answer.headers["location"]))
    home = (await alice.http.get("/")).text
    [id_] = {one[:32] for one in home.split('href="/tasks/')[1:]}
    assert answer.headers["location"] == f"/tasks/{id_}"

    assert "<b>you</b>" in home
    assert "answer" in [one["event"] for one in await alice.hops(f"/tasks/{id_}")]
    assert "A task for alice" in (await alice.http.get(f"/tasks/{id_}")).text


async def test_who_belongs_to_no_department_is_told_so_and_an_operator_sees_whose_tasks_there_are(
    here: Consoled,
) -> None:
    alice, eve, olga = [await here.person(user) for user in ("alice", "eve", "olga")]
    await alice.http.get("/")
    await alice.hops(await alice.start(TASK))

    assert "You belong to no department" in (eves := (await eve.http.get("/")).text)
    assert "<textarea" not in eves
    assert "<b>alice</b>" in (await olga.http.get("/")).text.partition("<main")[2]


async def test_a_form_has_a_bound_in_bytes_and_in_fields(here: Consoled) -> None:
    alice = await here.person("alice")

    assert (await alice.send("/tasks", request="x" * MAX_FORM)).status_code == 413
    many = {f"field{number}": "x" for number in range(MOST_FIELDS)}
    assert (await alice.send("/tasks", request=TASK, **many)).status_code == 400
    assert (await alice.send("/tasks", request=" ")).status_code == 400


async def test_of_a_long_name_the_beginning_is_shown(here: Consoled) -> None:
    here.realm.spoilt = {"preferred_username": "n" * (LONGEST_NAME + 1)}

    page = (await (await here.person("alice")).http.get("/")).text

    assert f"<b>{'n' * LONGEST_NAME}</b>" in page
