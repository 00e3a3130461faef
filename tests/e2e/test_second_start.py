"""A second start: without a build, with a new database, and without anybody's old password or token."""

import pytest

from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from tests.support.real import EVERYTHING, LastTime
from tests.support.realm import Realm
from zt.people.login import LoginError

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture
def before(last_time: LastTime | None) -> LastTime:
    assert last_time
    return last_time


@pytest.mark.usefixtures("before")
async def test_nothing_is_built_again_and_the_realm_is_imported(keycloak: Keycloak) -> None:
    log = keycloak.log.read_text()

    assert "started in" in log
    assert "augmentation" not in log
    assert "importing" in log


async def test_everybody_has_a_new_password(keycloak: Keycloak, before: LastTime) -> None:
    for user, password in before.passwords.items():
        with pytest.raises(LoginError, match="Invalid username or password"):
            await sign_in(keycloak.issuer, "walkthrough", user, password, EVERYTHING, verify=keycloak.tls)
        await sign_in(keycloak.issuer, "walkthrough", user, keycloak.passwords[user], EVERYTHING, verify=keycloak.tls)


async def test_no_administrator_of_the_last_run_gets_in(realm: Realm, before: LastTime) -> None:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": before.admin[1]}
    answer = await realm.http.post(
        f"{realm.issuer.replace('agents', 'master')}/protocol/openid-connect/token", data=form
    )

    assert answer.json()["error"] == "invalid_grant"


async def test_a_token_of_the_last_run_is_dead_at_keycloak(realm: Realm, before: LastTime) -> None:
    answer = await realm.exchange("orchestrator", before.login.access_token, audience="agent/reader", scope="tool.read")

    assert answer.status_code == 400
    assert answer.json()["error_description"] == "Invalid token"
