"""The console for operators, in process: the second sign-in, orders to the registry, and what is on record."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from console import parties
from tests.support.console import CONSOLE, Browser, Consoled, Realm, consoled, events_of
from tests.support.leaks import holds_token
from tests.support.thief import fake_thief
from zerotrust.audit.counts import IN_FULL
from zerotrust.registry.model import Registry

READER, REGISTRY, FOR_REGISTRY = "agent/reader", "authority/registry", "/operate/sign-in"
TASK = "Read the incident reports and file a summary."


async def operator(here: Consoled) -> Browser:
    """The browser of olga, who has signed in for the registry, too."""
    return await (await here.person("olga")).sign_in("olga", FOR_REGISTRY)


async def test_a_suspension_goes_to_the_registry_in_the_operators_name(here: Consoled) -> None:
    olga = await operator(here)

    answer = await olga.send("/operate", withdraw=f"party {READER}", cause="seen reading a forecast")

    assert answer.status_code == 303, answer.text
    page = (await olga.http.get("/parties")).text
    view = await view_with(olga, "'seen reading a forecast']")  # in the log; the feed adds who ordered it
    assert view["suspended"] == {READER: "seen reading a forecast (operator olga)"}
    assert view["changes"][0][1:] == ["suspend", READER, "olga", "seen reading a forecast"]
    [change] = [one for one in here.system.records(REGISTRY) if one["event"] == "administration"]
    assert (change["action"], change["target"], change["subject"]) == ("suspend", READER, "olga")
    assert not holds_token(page)
    await olga.send("/operate", reinstate=f"party {READER}", cause="it was checked")
    view = await view_with(olga, "'it was checked']")
    assert view["changes"][0][1:] == ["reinstate", READER, "olga", "it was checked"]
    assert here.system.revocations.check_party(here.system.registry.id(READER))


async def test_an_operator_sees_all_parties_before_the_second_sign_in_and_nobody_else_does(here: Consoled) -> None:
    olga, alice = await here.person("olga"), await here.person("alice")

    page = (await olga.http.get("/parties")).text

    for name in here.system.registry.parties:
        assert f'data-party="{name}"' in page
    assert "Sign in for the registry" in page
    assert "Suspend</button>" not in page
    answers = [await alice.http.get(path) for path in ("/parties", "/parties/events", "/operate/sign-in")]
    answers += [await alice.send(path, withdraw=f"party {READER}", cause="a theft") for path in ("/operate", "/probe")]
    assert [one.status_code for one in answers] == [404] * 5
    seen = [(one["subject"], one["reason"]) for one in here.system.records("console") if one["event"] == "access"]
    assert {("olga", "granted"), ("alice", "resource_denied")} <= {*seen}


async def test_a_person_who_is_refused_again_and_again_is_counted(here: Consoled) -> None:
    alice, began = await here.person("alice"), time.monotonic()
    for _ in range(40):
        assert (await alice.http.get("/parties")).status_code == 404
    seconds = time.monotonic() - began
    await asyncio.sleep(1.1)

    records = here.system.records(CONSOLE)
    in_full = [one for one in records if one["event"] == "access" and one["reason"] == "resource_denied"]
    counted = [count for one in records for count in one.get("repeated") or () if count["subject"] == "alice"]
    assert IN_FULL <= len(in_full) <= IN_FULL * (seconds + 2)
    assert {(count["operation"], count["reason"]) for count in counted} == {("GET /parties", "resource_denied")}
    assert len(in_full) + sum(count["times"] for count in counted) == 40


async def view_with(olga: Browser, pattern: str) -> dict[str, Any]:
    """What the page's stream shows, as soon as this matches; records come when they have been published."""
    async with asyncio.timeout(60):
        while True:
            for view in reversed(events_of((await olga.http.get("/parties/events")).text)):
                if re.search(pattern, str(view)):
                    return dict(view)


async def test_the_first_refusal_of_each_service_is_shown_and_who_ordered_it(here: Consoled) -> None:
    olga, alice = await operator(here), await here.person("alice")
    before = time.time()
    await olga.send("/operate", withdraw=f"party {READER}", cause="a theft")
    after = time.time()
    await alice.hops(await alice.start(TASK))

    view = await view_with(olga, r"'orchestrator': \d")

    assert [*view["took"]] == ["orchestrator"]  # nobody else was called
    assert before < view["asked"] < after
    assert [*view["suspended"]] == [READER]


async def test_users_sessions_and_tokens_are_revoked_too(here: Consoled) -> None:
    olga = await operator(here)

    told = [
        await olga.send("/operate", withdraw="what", what=f"{kind} {name}", cause="a theft")
        for kind, name in (("user", "alice"), ("session", "s-1"), ("token", "t-1"), ("user", "nobody"))
    ]
    await olga.send("/operate", reinstate="what", what="user alice", cause="a mistake")

    assert [one.status_code for one in told] == [303, 303, 200, 400]  # Keycloak ends no token, and knows no nobody
    assert "not applicable" in told[2].text
    revoked = here.system.revocations.revoked
    assert {("session", "s-1"), ("token", "t-1")} <= revoked.keys()
    assert ("user", "alices-id") not in revoked


async def test_what_is_no_order_is_refused_and_so_is_an_operator_whose_sign_in_has_ended(here: Consoled) -> None:
    good = {"withdraw": f"party {READER}", "cause": "a theft"}
    olga = await here.person("olga")
    assert (await olga.send("/operate", **good)).status_code == 403
    await olga.sign_in("olga", FOR_REGISTRY)
    for wrong in (
        {"withdraw": "party nobody/../reload"},
        {"withdraw": "registry"},
        {"cause": ""},
        {"cause": "x" * 201},
        {"cause": "drift: main.py"},  # as if attestation had found it
    ):
        assert (await olga.send("/operate", **(good | wrong))).status_code == 400
    here.realm.life = 1
    await olga.sign_in("olga", FOR_REGISTRY)
    await asyncio.sleep(1.1)

    assert (await olga.send("/operate", **good)).status_code == 403
    assert here.system.revocations.check_party(here.system.registry.id(READER))


async def test_the_thiefs_ids_are_shown_and_who_serves_it(
    tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey
) -> None:
    async with fake_thief() as thief, consoled(tmp_path, Realm(registry, key=signing_key)) as here:
        olga = await operator(here)
        ids = {"session": "s-1", "token": "t-1", "user": "olga"}
        thief.answers = [
            {"event": "began", **ids},
            {"event": "answer", "service": "inference", "refused": False},
            {"event": "answer", "service": "tool/documents", "refused": True},
        ]
        thief.may_end.clear()
        before = time.time()
        for _ in range(2):  # the second time, it calls already
            await olga.send("/probe")
        view = await view_with(olga, "'tool/documents': False")
        thief.may_end.set()
        after = await view_with(olga, r"'ids': \[\]")

    assert view["serves"] == {"inference": True, "tool/documents": False}
    assert view["ids"] == ["session s-1", "token t-1", "user olga"]
    assert before < view["until"] - 60 < time.time()
    assert after["serves"] == {}
    assert after["until"] <= time.time()
    assert thief.orders == [{"order": "probe", "seconds": 60}]


async def test_the_stream_of_the_parties_ends_with_the_session(here: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    olga = await operator(here)
    monkeypatch.setattr(parties, "LONGEST", 60)
    following = asyncio.create_task(olga.http.get("/parties/events"))
    await asyncio.sleep(0.1)
    await olga.send("/sign-out")

    await asyncio.wait_for(following, 10)
