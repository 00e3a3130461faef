"""docs/how-to/clients.md on the real Keycloak: with its code alone, a client signs alice in and calls for her."""

from typing import Any

import httpx
import pytest

from start.system import EVERYTHING, System
from testkit.browser import REDIRECT, Person
from tests.support.clients_page import typed
from tests.support.realm import asked_at, code_in, redeeming

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

CLIENT = "walkthrough"


async def test_a_client_of_others_signs_alice_in_calls_refreshes_and_signs_out(system: System) -> None:
    keycloak, client = system.keycloak, typed()
    prove, models = client["prove"], f"{system.address('orchestrator')}/models"

    async with httpx.AsyncClient(verify=keycloak.tls, trust_env=False, timeout=30) as http, system.user() as party:

        async def called(token: str) -> int:
            headers = {"authorization": f"DPoP {token}", "dpop": prove("GET", models, token)}
            return (await party.get(models, headers=headers)).status_code

        async def posted(endpoint: str, **form: str) -> httpx.Response:
            return await http.post(endpoint, data=form, headers={"dpop": prove("POST", endpoint)})

        known: dict[str, Any] = (await http.get(f"{keycloak.issuer}/.well-known/openid-configuration")).json()
        asked = asked_at(CLIENT, f"openid {EVERYTHING}") | {"dpop_jkt": client["DPOP_JKT"]}
        form = await http.get(known["authorization_endpoint"], params=asked)
        code = code_in(await Person("alice", keycloak.passwords["alice"]).fill_in(http, form))
        assert code
        first = (await posted(known["token_endpoint"], **redeeming(CLIENT, code))).json()
        refresh = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": first["refresh_token"]}
        second = (await posted(known["token_endpoint"], **refresh)).json()
        assert [await called(one["access_token"]) for one in (first, second)] == [200, 200]

        hint = {"id_token_hint": second["id_token"], "post_logout_redirect_uri": REDIRECT}
        ended = await posted(known["end_session_endpoint"], client_id=CLIENT, **hint)
        assert ended.headers["location"] == REDIRECT
        again = await posted(known["token_endpoint"], **refresh | {"refresh_token": second["refresh_token"]})
        assert again.json()["error"] == "invalid_grant"
