"""What the Llama Stack server is started with; the real one is asked in tests/compose and tests/services."""

import datetime as dt
import hashlib
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from start.llama_stack.ogx import DAYS, NAME, SCOPES, Place, Provider, configuration, new_server_key
from tests.support.system import registry

PLACE = Place(
    issuer="https://localhost:8443/realms/agents",
    keys_uri="https://keycloak:8443/certs",
    ca="/public/ca.pem",
    host="llama-stack",
    certificate="/setup/server.crt",
    key="/setup/server.key",
    folder="/data",
)
PROVIDER = Provider("https://models.example/v1", "secret")


def configured(place: Place = PLACE, provider: Provider = PROVIDER) -> Any:
    return json.loads(configuration(place, provider))


def test_only_our_issuers_tokens_for_it_are_taken_and_over_tls_alone() -> None:
    server = configured()["server"]
    provider = server["auth"]["provider_config"]

    assert (provider["type"], provider["audience"], provider["issuer"]) == ("oauth2_token", "llamastack", PLACE.issuer)
    assert (provider["jwks"]["uri"], provider["tls_cafile"]) == (PLACE.keys_uri, PLACE.ca)
    assert (server["host"], server["tls_certfile"], server["tls_keyfile"]) == (
        "llama-stack",
        PLACE.certificate,
        PLACE.key,
    )


def test_each_scope_opens_its_own_paths_and_nothing_else_is_open() -> None:
    auth = configured()["server"]["auth"]

    assert auth["route_policy"] == [
        {"permit": {"paths": ["/v1/chat/completions"]}, "when": "user with llama.chat in scopes"},
        {"permit": {"paths": ["/v1/models", "/v1/models/*"]}, "when": "user with llama.models in scopes"},
    ]
    assert {tuple(rule["permit"]["actions"]) for rule in auth["access_policy"]} == {("read",)}


def test_it_is_the_registrys_server_and_serves_the_registrys_scopes() -> None:
    known = registry()

    assert known.id(NAME) == configured()["server"]["auth"]["provider_config"]["audience"]
    assert known.outside[NAME].takes_tokens
    assert {scope for scope, entry in known.scopes.items() if NAME in entry.served_by} == SCOPES.keys()


def test_neither_prompts_nor_answers_are_kept() -> None:
    assert configured()["storage"]["stores"]["inference"]["enabled"] is False


def test_the_pin_is_that_of_the_key() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made, other = new_server_key("llama-stack", now), new_server_key("llama-stack", now)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    public = load_pem_private_key(made.key, None).public_key()

    assert certificate.public_key() == public
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert made.spki_sha256 == hashlib.sha256(spki).hexdigest() != other.spki_sha256
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc - dt.timedelta(days=DAYS - 1)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["llama-stack"]
