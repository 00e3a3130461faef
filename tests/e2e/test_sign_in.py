"""`zt` as a process on the real Keycloak: an operator signs in in a browser, or by a code confirmed elsewhere."""

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from registration.realm.users import USERS
from start.system import ROOT, System
from testkit.browser import Person
from tests.support.ca import REGISTRY_PARTY
from tests.support.operator import NO_PLACE
from tests.support.real import ZT, Typed
from tests.support.realm import Realm

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@asynccontextmanager
async def by_code(environment: dict[str, str], *words: str) -> AsyncIterator[tuple[Any, dict[str, Any]]]:
    """The process, and what it tells the person."""
    command = [ZT, "--device", *words, "--json"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe)
    assert process.stderr
    try:
        yield process, json.loads(await process.stderr.readline())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def olga(system: System) -> Person:
    return Person("olga", system.keycloak.passwords["olga"])


async def test_an_operator_confirms_a_code_in_a_browser_anywhere(system: System, by_hand: dict[str, str]) -> None:
    async with by_code(by_hand, "party", "show", "agent/reader") as (process, told):
        assert re.fullmatch("[A-Z]{4}-[A-Z]{4}", told["user_code"])
        assert told["verification_uri"] == f"{system.keycloak.issuer}/device"
        assert told["expires_in"] == 300
        await olga(system).visit(told["verification_uri_complete"], system.keycloak.tls)
        printed, errors = await process.communicate()

    assert (process.returncode, errors) == (0, b"")
    assert json.loads(printed)["name"] == "agent/reader"


async def test_who_confirms_a_code_reads_each_time_what_they_allow(system: System, by_hand: dict[str, str]) -> None:
    tls, person = system.keycloak.tls, olga(system)
    by_hand["XDG_RUNTIME_DIR"] = NO_PLACE
    for _ in range(2):  # Keycloak remembers what was confirmed, and asks all the same
        async with (
            by_code(by_hand, "reload") as (process, told),
            httpx.AsyncClient(verify=tls, trust_env=False, timeout=30) as browser,
        ):
            form = await browser.get(told["verification_uri_complete"], follow_redirects=True)
            signed_in = await person.fill_in(browser, form)
            page = await browser.get(signed_in.headers["location"], follow_redirects=True)
            assert re.findall(r"<li>\s*<span>\s*([^<]*?)\s*<", page.text) == [
                (
                    "Administer the registry: suspend and reinstate parties, revoke users, sessions and tokens. "
                    "Confirm only if you have just started this sign-in yourself."
                )
            ]
            await person.visit(told["verification_uri_complete"], tls)
            await process.communicate()
            assert process.returncode == 0


async def test_a_code_that_is_refused_signs_nobody_in(system: System, by_hand: dict[str, str]) -> None:
    async with by_code(by_hand, "party", "list") as (process, told):
        await olga(system).visit(told["verification_uri_complete"], system.keycloak.tls, confirm=False)
        printed, errors = await process.communicate()

    assert (process.returncode, printed) == (1, b"")
    assert json.loads(errors) == {
        "reason": "not_signed_in",
        "error": "Nobody was signed in: it was refused in the browser.",
    }


async def test_a_sign_in_serves_further_commands_until_the_operator_signs_out(
    system: System, by_hand: dict[str, str], typed: Typed, tmp_path: Path
) -> None:
    async def sessions() -> int:
        async with system.keycloak.administration() as admin:
            return len(await admin.a_get_sessions(USERS["olga"][0]))

    before = await sessions()
    assert (await asyncio.to_thread(typed, "party", "list")).stderr.startswith("Sign in at Keycloak in the browser")
    [file] = (tmp_path / "zt").iterdir()
    assert file.stat().st_mode == stat.S_IFREG | 0o600
    by_hand["BROWSER"] = "false"  # nobody would sign in
    for _ in range(2):
        done = await asyncio.to_thread(typed, "party", "list")
        assert (done.returncode, done.stderr) == (0, "")
    assert await sessions() == before + 1

    assert (await asyncio.to_thread(typed, "logout")).stdout == "Signed out: olga at the registry.\n"
    assert (await sessions(), [*(tmp_path / "zt").iterdir()]) == (before, [])


async def test_who_is_no_operator_is_told_so_by_name_and_someone_else_than_expected_does_nothing(
    system: System, by_hand: dict[str, str], typed: Typed, tmp_path: Path
) -> None:
    bob = tmp_path / "bob.json"
    ca = str(system.authority.ca_file)
    bob.write_text(json.dumps({"user": "bob", "password": system.keycloak.passwords["bob"], "ca": ca}))
    by_hand["BROWSER"] = f"{ROOT}/start/run testkit.browser {bob} %s"

    def refused(user: str) -> str:
        done = typed("--user", user, "party", "list", "--json")
        assert (done.returncode, done.stdout) == (1, "")
        return str(json.loads(done.stderr.splitlines()[-1])["error"])

    assert (await asyncio.to_thread(refused, "olga")).startswith("bob signed in, not olga: nothing was done.")
    trace = re.search(r"\(403 policy_denied\).* trace (\w+) in run/", await asyncio.to_thread(refused, ""))
    assert trace
    assert trace[1] in system.journal(REGISTRY_PARTY).read_text()


async def test_keycloak_sends_the_code_to_any_port_of_this_machine_and_to_no_other_address(realm: Realm) -> None:
    asked = {
        "client_id": "zt",
        "response_type": "code",
        "scope": "registry.admin",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }

    async def answer(redirect: str) -> httpx.Response:
        return await realm.http.get(f"{realm.endpoint}/auth", params=asked | {"redirect_uri": redirect})

    for port in (":1", ":8000", ":65535", ""):
        assert (await answer(f"http://127.0.0.1{port}/callback")).status_code == 200
    for elsewhere in (
        "http://localhost:8000/callback",
        "http://[::1]:8000/callback",
        "https://127.0.0.1:8000/callback",
        "http://127.0.0.1:8000/other",
        "http://127.0.0.1:8000/callback/x",
        "http://127.0.0.1:8000/callback?x=1",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
    ):
        assert (await answer(elsewhere)).status_code == 400, elsewhere
