"""What a service is told: by names of its own, completely, and once."""

import pytest
from pydantic import ValidationError

from zerotrust.settings import Settings

NOTIFIED = {
    "ZT_REGISTRY": "https://registry.test:8106",
    "ZT_REGISTRY_PARTY": "authority/registry",
    "ZT_ISSUER": "https://issuer.test/realms/agents",
    "ZT_HOST": "127.0.0.1",
    "ZT_PORT": "8101",
    "ZT_DATA": "data",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOTIFIED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", NOTIFIED)
def test_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    monkeypatch.setenv(name.removeprefix("ZT_"), NOTIFIED[name])

    with pytest.raises(ValidationError, match=name.removeprefix("ZT_").lower()):
        Settings()


@pytest.mark.parametrize("issuer", ["https://Issuer.test:443/realms/agents", "https://issuer.test", "https://a.test/"])
def test_the_issuer_stays_as_it_was_written(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    monkeypatch.setenv("ZT_ISSUER", issuer)

    assert Settings().issuer == issuer
    with pytest.raises(ValidationError, match="frozen"):
        Settings().host = "192.0.2.1"  # type: ignore[misc]


ISSUERS = ["http://a.test", "https://", "a.test", "https://a.test/?x", "https://a.test#x", "https://a@b.test", ""]


@pytest.mark.parametrize(
    ("name", "value"), [("registry_party", "authority/registry/../agent"), *(("issuer", issuer) for issuer in ISSUERS)]
)
def test_the_registrys_name_is_that_of_a_party_and_an_issuer_is_an_https_address_without_query_and_fragment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"ZT_{name.upper()}", value)

    with pytest.raises(ValidationError, match=name):
        Settings()
