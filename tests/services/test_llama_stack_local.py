"""The Llama Stack server on this machine, as far as it does not run: folder, pin, and what it says if it cannot.

It runs in `tests/e2e`.
"""

import json
from pathlib import Path

import pytest
import yaml

from start.llama_stack import server as llama_stack
from start.llama_stack.ogx import Provider
from start.llama_stack.server import SCRIPTED, LlamaStack, enrol, prepare, serving

ORIGIN, ISSUER = "https://127.0.0.1:8321", "https://localhost:8443/realms/agents"


def test_its_folder_is_made_anew_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "llama-stack"
    made = [prepare(folder, ORIGIN, Provider("http://m/v1", "s3cret"), ISSUER, tmp_path / "ca.pem") for _ in range(2)]

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


async def test_all_that_was_started_has_ended_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is a program that only listens."""
    program = tmp_path / "ogx"
    program.write_text(
        "#!/usr/bin/env python3\nimport socket, sys, time\n"
        "listening = socket.create_server(('127.0.0.1', int(sys.argv[4])))\ntime.sleep(600)\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(llama_stack, "OGX", program)
    server = prepare(tmp_path / "folder", ORIGIN, Provider("http://m/v1", "s3cret"), ISSUER, tmp_path / "ca.pem")
    (server.folder / "more").mkdir()

    async with serving(server, print) as found:
        [(name, ended, log)] = found
        assert (name, log) == ("The Llama Stack server", server.log)
        assert "s3cret" in (server.folder / "config.yaml").read_text()
    await ended()
    assert [file.name for file in server.folder.iterdir()] == ["server.log"]
