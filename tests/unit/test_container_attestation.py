"""The program that attests containers: how it ends, and what it writes for others."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509

from authorities.attestation.containers import main
from authorities.attestation.containers.settings import Settings
from authorities.attestation.spiffe.certificates import DAYS
from authorities.attestation.spiffe.svid_issuer import Issuer, Keys
from zerotrust.authority.files.reading import RegistryError


@pytest.fixture(autouse=True)
def open_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "close_process", lambda: None)


def test_it_ends_to_be_started_again_before_its_certificates_expire(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def until_renewal(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(main, "serve", until_renewal)
    for name in ("ZT_REGISTRY", "ZT_REGISTRY_PARTY", "ZT_ISSUER", "ZT_ISSUER_AT"):
        monkeypatch.setenv(name, "x")
    main.main()

    assert json.loads(capsys.readouterr().out)["event"] == "ends, to renew its certificates"
    assert main.RENEWED_AFTER < DAYS * 86400


async def test_it_is_not_healthy_by_the_socket_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its health check looks for the socket, which a killed process leaves behind."""
    earlier = tmp_path / "api.sock"
    earlier.touch()
    monkeypatch.setattr(main, "SOCKET", earlier)
    monkeypatch.setattr(main, "allow_open_files", lambda: None)  # of this process of tests, it stays as it is
    monkeypatch.setattr(main, "APP", tmp_path / "nothing")
    settings = Settings(registry="x", registry_party="x", issuer="x", issuer_at="x")

    with pytest.raises(RegistryError):
        await main.serve(settings, lambda _registry, _lock: [])
    assert not earlier.exists()


def test_keycloaks_key_is_its_groups_alone_and_new_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PUBLIC", "KEYCLOAK"):
        monkeypatch.setattr(main, name, tmp_path)
    issuer = Issuer("agents.example", Keys.new())

    main.publish(issuer)
    first = (tmp_path / "keycloak.crt").read_bytes()
    main.publish(issuer)

    assert stat.S_IMODE((tmp_path / "keycloak.key").stat().st_mode) == 0o640
    assert (tmp_path / "keycloak.crt").read_bytes() != first
    chain = x509.load_pem_x509_certificates(first)
    chain[0].verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes()))
