"""Keycloak's own door: https alone, TLS 1.3, and a certificate that is shown has to be one of ours."""

import socket
import ssl
from pathlib import Path

import httpx
import pytest

from start.keycloak.options import HEALTH_PORT, PORT
from start.keycloak.server import Keycloak
from testkit.browser import sign_in
from tests.support.pki import CA
from tests.support.realm import Realm, claims
from tests.support.system import CHAIN
from zerotrust.registry.model import Registry
from zt.people.login import LoginError

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

READER = "spiffe://agents.example/agent/reader"


async def reached(keycloak: Keycloak, context: ssl.SSLContext) -> str:
    """The version of TLS by which the realm answered."""
    async with httpx.AsyncClient(verify=context, trust_env=False) as http:
        answer = await http.get(keycloak.issuer)
    assert answer.status_code == 200
    return str(answer.extensions["network_stream"].get_extra_info("ssl_object").version())


async def test_a_person_shows_no_certificate_and_a_workload_one_of_ours(
    keycloak: Keycloak, own_ca: CA, tmp_path: Path
) -> None:
    assert await reached(keycloak, keycloak.tls) == "TLSv1.3"
    assert await reached(keycloak, own_ca.workload(tmp_path, READER)) == "TLSv1.3"


async def test_a_certificate_of_another_ca_is_refused(keycloak: Keycloak, own_ca: CA, tmp_path: Path) -> None:
    stranger = CA().workload(tmp_path, READER)
    stranger.load_verify_locations(cadata=own_ca.pem.decode())

    with pytest.raises(ssl.SSLError, match="CERTIFICATE_UNKNOWN"):  # told on reading: httpx lets it through
        await reached(keycloak, stranger)


async def test_a_certificate_that_has_ended_is_refused(keycloak: Keycloak, own_ca: CA, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_UNKNOWN"):  # told on reading: httpx lets it through
        await reached(keycloak, own_ca.workload(tmp_path, READER, days=-1))


async def test_an_older_tls_is_refused(keycloak: Keycloak) -> None:
    older = keycloak.tls
    older.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(httpx.ConnectError, match="PROTOCOL_VERSION"):
        await reached(keycloak, older)


async def test_who_does_not_trust_our_ca_is_not_fooled(keycloak: Keycloak) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await reached(keycloak, ssl.create_default_context())


async def test_nothing_answers_in_plain_http_but_health(keycloak: Keycloak) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"http://localhost:{PORT}/realms/agents")
        assert (await http.get(f"http://localhost:{HEALTH_PORT}/realms/agents")).status_code == 404
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", 8080)) != 0


# --- operators --------------------------------------------------------------------------------------------------------


async def test_an_operator_gets_a_token_for_the_registry_and_nothing_else(
    keycloak: Keycloak, registry: Registry
) -> None:
    login = await sign_in(
        keycloak.issuer, "zt", "olga", keycloak.passwords["olga"], "registry.admin", verify=keycloak.tls
    )
    token = claims(login.access_token)

    assert token["aud"] == registry.id("authority/registry")
    assert token["azp"] == token["client_id"] == "zt"
    assert token["scope"] == "openid registry.admin"
    assert token["cnf"]["jkt"] == login.key.thumbprint
    assert token["groups"] == ["/operators"]
    assert 0 < token["exp"] - token["iat"] <= 60  # a second may end in between
    assert CHAIN not in token


async def test_the_operators_client_gives_no_scope_of_the_services(keycloak: Keycloak, realm: Realm) -> None:
    with pytest.raises(LoginError, match=r"invalid_scope: .*tool\.read"):
        await sign_in(
            keycloak.issuer, "zt", "olga", keycloak.passwords["olga"], "registry.admin tool.read", verify=keycloak.tls
        )


async def test_a_workload_exchanges_no_operators_token(keycloak: Keycloak, realm: Realm) -> None:
    login = await sign_in(
        keycloak.issuer, "zt", "olga", keycloak.passwords["olga"], "registry.admin", verify=keycloak.tls
    )

    for party in ("orchestrator", "agent/reader", "authority/registry"):
        answer = await realm.exchange(party, login.access_token, audience="authority/registry", scope="registry.admin")
        assert answer.status_code in (400, 403), answer.text
