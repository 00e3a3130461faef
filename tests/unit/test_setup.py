"""What `setup` makes once for the containers, and what it makes and removes for a Llama Stack server."""

import json
from pathlib import Path

import pytest

from start import setup
from start.llama_stack.ogx import NAME


@pytest.fixture(autouse=True)
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KEYCLOAK", "DATABASE", "ACCOUNTS", "SERVER"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setattr(setup, name, tmp_path / name.lower())
    monkeypatch.setattr(setup, "ENROLLED", tmp_path / "outside.json")
    monkeypatch.setattr(setup, "PROVIDER_KEY", tmp_path / "provider-key")
    for variable in ("OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def provider(volumes: Path) -> dict[str, object]:
    [found] = json.loads((volumes / "server/config.json").read_text())["providers"]["inference"]
    return dict(found["config"])


def test_the_servers_key_is_enrolled_and_stays_the_same(volumes: Path) -> None:
    setup.main(["llama-stack"])
    enrolled = json.loads((volumes / "outside.json").read_text())
    key = (volumes / "server/server.key").read_bytes()
    setup.main(["llama-stack"])

    assert enrolled == json.loads((volumes / "outside.json").read_text())
    assert enrolled == {NAME: (volumes / "server/spki.sha256").read_text()}
    assert (volumes / "server/server.key").read_bytes() == key
    assert {file.stat().st_mode & 0o777 for file in (volumes / "server").iterdir()} == {0o640}


def test_the_model_server_is_ours_unless_another_one_is_named(volumes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (volumes / "provider-key").write_text("secret\n")
    setup.main(["llama-stack"])
    ours = provider(volumes)
    assert (ours["base_url"], ours["api_key"]) == (setup.SCRIPTED_MODEL, "none")  # it is not shown another's key

    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    monkeypatch.setenv("OPENAI_MODEL", "meta-llama/Llama-3")
    setup.main(["llama-stack"])

    assert provider(volumes) == {
        "base_url": "https://models.example/v1",
        "api_key": "secret",
        "refresh_models": True,
        "allowed_models": ["meta-llama/Llama-3"],
    }
