"""The console for operators, in process: the second sign-in, orders to the registry, and what is on record."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from console.parties import LONGEST_CAUSE
from tests.support.console import Browser, Consoled, Realm, consoled, events_of
from tests.support.leaks import holds_token
from tests.support.thief import fake_thief
from tests.support.waiting import until
from zerotrust.registry.model import Registry

READER, REGISTRY, FOR_REGISTRY = "agent/reader", "authority/registry", "/operate/sign-in"
TASK = "Read the incident reports and file a summary."


@pytest.fixture
async def here(tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey) -> AsyncIterator[Consoled]:
    async with consoled(tmp_path, Realm(registry, key=signing_key)) as alive:
        yield alive


async def operator(here: Consoled) -> Browser:
    """The browser of olga, who has signed in for the registry, too."""
    return await (await here.person("olga")).sign_in("olga", FOR_REGISTRY)


async def test_a_suspension_goes_to_the_registry_in_the_operators_name(here: Consoled) -> None:
    olga = await operator(here)

    answer = await olga.send("/operate", withdraw=f"party {READER}", cause="seen reading a forecast")

    assert answer.status_code == 303, answer.text
    page = (await olga.http.get("/parties")).text
    assert "suspended" in page
    assert "seen reading a forecast (operator olga)" in page
    [change] = [one for one in here.system.records(REGISTRY) if one["event"] == "administration"]
    assert (change["action"], change["target"], change["subject"]) == ("suspend", READER, "olga")
    assert not holds_token(page)
    await olga.send("/operate", reinstate=f"party {READER}")
    assert here.system.revocations.check_party(here.system.registry.id(READER))


async def test_an_operator_sees_all_parties_before_the_second_sign_in_and_nobody_else_does(here: Consoled) -> None:
    olga, alice = await here.person("olga"), await here.person("alice")

    page = (await olga.http.get("/parties")).text

    for name in here.system.registry.parties:
        assert here.system.registry.id(name) in page
    assert "Sign in for the registry" in page
    assert "Suspend</button>" not in page
    answers = [await alice.http.get(path) for path in ("/parties", "/parties/events", "/operate/sign-in")]
    assert [one.status_code for one in answers] == [404] * 3
    seen = [(one["subject"], one["reason"]) for one in here.system.records("console") if one["event"] == "access"]
    assert {("olga", "granted"), ("alice", "resource_denied")} <= {*seen}


async def view_with(olga: Browser, line: str) -> dict[str, Any]:
    """What the page's stream shows, as soon as it has such a line; records come when they have been published."""
    async with asyncio.timeout(60):
        while True:
            for view in reversed(events_of((await olga.http.get("/parties/events")).text)):
                if any(line in one for lines in view["lists"].values() for one in lines):
                    return dict(view)


async def test_the_first_refusal_of_each_service_is_shown_and_who_ordered_it(here: Consoled) -> None:
    olga, alice = await operator(here), await here.person("alice")
    await olga.send("/operate", withdraw=f"party {READER}", cause="a theft")
    await alice.hops(await alice.start(TASK))

    view = await view_with(olga, "suspend agent/reader by olga: a theft")

    text, sign = view["signs"]["point orchestrator"]
    assert (text.split(" ms")[0].rpartition(" ")[0], sign) == ("refused after", "refused")
    assert view["signs"][f"state {READER}"] == ["suspended", "revoked"]
    assert view["signs"]["state agent/writer"] == ["active", ""]


async def test_users_sessions_and_tokens_are_revoked_too(here: Consoled) -> None:
    olga = await operator(here)

    told = [
        await olga.send("/operate", withdraw="what", what=f"{kind} {name}", cause="a theft")
        for kind, name in (("user", "alice"), ("session", "s-1"), ("token", "t-1"), ("user", "nobody"))
    ]
    await olga.send("/operate", reinstate="what", what="user alice")

    assert [one.status_code for one in told] == [303, 303, 200, 400]  # Keycloak ends no token, and knows no nobody
    assert "not applicable" in told[2].text
    revoked = here.system.revocations.revoked
    assert {("session", "s-1"), ("token", "t-1")} <= revoked.keys()
    assert ("user", "alices-id") not in revoked


async def test_what_is_no_order_is_refused_and_so_is_an_operator_whose_sign_in_has_ended(here: Consoled) -> None:
    olga = await operator(here)
    good = {"withdraw": f"party {READER}", "cause": "a theft"}
    for wrong in (
        {"withdraw": "party nobody/../reload"},
        {"withdraw": "registry"},
        {"cause": ""},
        {"cause": "x" * (LONGEST_CAUSE + 1)},
    ):
        assert (await olga.send("/operate", **(good | wrong))).status_code == 400
    here.realm.life = 1
    await olga.sign_in("olga", FOR_REGISTRY)
    await asyncio.sleep(1.1)

    assert (await olga.send("/operate", **good)).status_code == 403
    assert here.system.revocations.check_party(here.system.registry.id(READER))


async def test_the_thiefs_ids_are_shown_and_when_a_service_first_refused_it(
    tmp_path: Path, registry: Registry, signing_key: RSAPrivateKey
) -> None:
    async with fake_thief() as thief, consoled(tmp_path, Realm(registry, key=signing_key)) as here:
        olga = await operator(here)
        await olga.send("/operate", withdraw=f"party {READER}", cause="a theft")
        refused = {"event": "answer", "service": "inference", "at": time.time() + 0.1, "reason": "revoked"}
        thief.answer = refused | {"status": 401, "refused": True}
        await olga.send("/probe", agent=READER)
        await until(lambda: bool(thief.orders))
        async with asyncio.timeout(60):
            while "ms, as the thief shows" not in (await olga.http.get("/parties")).text:
                pass

    assert thief.orders == [{"order": "probe", "agent": READER, "seconds": 60}]
