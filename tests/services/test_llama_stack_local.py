"""The Llama Stack server on this machine, as far as it does not run: folder, pin, and what it says if it cannot.

It runs in `tests/e2e`.
"""

import json
from pathlib import Path

import pytest
import yaml

from deploy.ogx import Provider
from local import llama_stack
from local.llama_stack import (
    SCRIPTED,
    LlamaStack,
    LlamaStackError,
    enrol,
    prepared,
    provider_of,
    serving,
)

ORIGIN, ISSUER = "https://127.0.0.1:8321", "https://localhost:8443/realms/agents"


def test_the_model_is_the_one_that_the_variables_name(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    named = {"OPENAI_BASE_URL": "https://models.test/v1", "OPENAI_MODEL": "a b"}

    assert provider_of({}) == SCRIPTED
    assert provider_of({"OPENAI_BASE_URL": ""}) == SCRIPTED
    assert provider_of(named) == Provider("https://models.test/v1", "", ("a", "b"))
    assert provider_of(named | {"OPENAI_API_KEY_FILE": str(key)}).key == "s3cret"
    with pytest.raises(LlamaStackError, match="cannot be read"):
        provider_of(named | {"OPENAI_API_KEY_FILE": str(tmp_path / "none")})
    with pytest.raises(LlamaStackError, match="OPENAI_MODEL"):
        provider_of(named | {"OPENAI_MODEL": ""})
    assert provider_of(named | {"OPENAI_MODEL": "", "ZT_MODEL": "provider/c"}).models == ()


def test_its_folder_is_made_anew_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "llama-stack"
    made = [prepared(folder, ORIGIN, Provider("http://m/v1", "s3cret"), ISSUER, tmp_path / "ca.pem") for _ in range(2)]

    assert made[0].spki_sha256 != made[1].spki_sha256
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    server = yaml.safe_load((folder / "config.yaml").read_text())["server"]
    assert (server["host"], server["port"]) == ("127.0.0.1", 8321)
    assert server["auth"]["provider_config"]["issuer"] == ISSUER


def test_its_key_is_enrolled_and_forgotten_when_it_does_not_run(tmp_path: Path) -> None:
    data, file = tmp_path / "registry", tmp_path / "registry" / "outside.json"
    enrol(data, LlamaStack(ORIGIN, tmp_path, SCRIPTED, "ab" * 32))
    assert json.loads(file.read_text()) == {"llamastack": "ab" * 32}
    assert file.stat().st_mode & 0o777 == 0o600

    enrol(data, None)
    assert not file.exists()


def test_agents_get_the_first_model_that_is_offered_unless_another_is_named() -> None:
    """So the first task needs nobody to have listed the models before."""
    offered = LlamaStack(ORIGIN, Path("/none"), Provider("http://m/v1", models=("a", "b")), "")
    everything = LlamaStack(ORIGIN, Path("/none"), Provider("http://m/v1"), "")

    assert offered.settings({"HOME": "/", "ZT_MODEL": ""}) == {"ZT_MODEL": "provider/a"}
    assert offered.settings({"ZT_MODEL": "provider/b"}) == {"ZT_MODEL": "provider/b"}
    assert everything.settings({}) == {}


async def test_a_server_that_ends_at_once_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ogx"
    program.write_text("#!/bin/sh\necho no such provider >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(llama_stack, "OGX", program)
    server = prepared(tmp_path / "folder", ORIGIN, Provider("http://m/v1"), ISSUER, tmp_path / "ca.pem")

    with pytest.raises(LlamaStackError, match="no such provider"):
        async with serving(server, print):
            raise AssertionError


async def test_all_that_was_started_has_ended_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is a program that only listens."""
    program = tmp_path / "ogx"
    program.write_text(
        "#!/usr/bin/env python3\nimport socket, sys, time\n"
        "listening = socket.create_server(('127.0.0.1', int(sys.argv[4])))\ntime.sleep(600)\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(llama_stack, "OGX", program)
    server = prepared(tmp_path / "folder", ORIGIN, Provider("http://m/v1", "s3cret"), ISSUER, tmp_path / "ca.pem")
    (server.folder / "more").mkdir()

    async with serving(server, print) as found:
        [(name, ended, log)] = found
        assert (name, log) == ("The Llama Stack server", server.log)
        assert "s3cret" in (server.folder / "config.yaml").read_text()
    await ended()
    assert [file.name for file in server.folder.iterdir()] == ["server.log"]
