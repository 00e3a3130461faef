"""Alice's real task: her answer, a proof and an export, and nothing else, say who took part in it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from start.system import ROOT, System
from tests.support.real_tasks import asked
from zerotrust.receipts.carried import parse_answer
from zerotrust.receipts.receipt import digest_of
from zt.commands import app

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def proof(system: System, receipt: str) -> bytes:
    """The log's proof of a receipt, as a client gets it: the log is published a moment after the answer."""
    login = await system.sign_in("alice")
    async with system.user() as http, asyncio.timeout(30):
        while True:
            answer = await http.get(f"{system.address('orchestrator')}/receipts/{receipt}", auth=login.auth)
            if answer.status_code == httpx.codes.OK:
                return answer.content
            assert answer.status_code in {404, 503}, answer.text
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))


async def test_alice_proves_who_took_part_in_her_task_with_nothing_running(system: System, tmp_path: Path) -> None:
    answer = await asked(system, "alice")
    found = parse_answer(answer.content)
    assert found is not None
    evidence = await proof(system, digest_of(found.receipts[0]))
    registry = system.address(system.registry.authorities.registry)
    async with system.user() as http:
        policy = await http.get(f"{registry}/audit-policy")

    saved = {"answer.json": answer.content, "request.json": answer.request.content, "policy": policy.content}
    for name, content in (saved | {"answer.json.proof": evidence}).items():
        (tmp_path / name).write_bytes(content)
    log = system.data("authority/audit") / "log"

    def zt(*words: str, status: int = 0) -> dict[str, object]:
        env = {"ZT_SYSTEM": str(ROOT)}
        trust = [] if "export" in words else ["--policy", str(tmp_path / "policy")]
        shown = CliRunner().invoke(app, [*words, *trust, "--json"], env=env)
        assert shown.exit_code == status, shown.output
        return dict(json.loads(shown.stdout))

    zt("audit", "export", "--log", str(log), "--to", str(tmp_path / "export"))
    files = ["--request", str(tmp_path / "request.json"), "--export", str(tmp_path / "export")]
    said = zt(
        "receipt", "verify", str(tmp_path / "answer.json"), "--ca", str(system.authority.ca_file), *files, status=3
    )

    assert not said["complete"]  # a call could still be made with the user's token
    assert said["compared_until"]
    calls = said["calls"]
    assert isinstance(calls, list)
    parties = {one["party"].removeprefix("spiffe://agents.example/") for one in calls}
    assert parties == {"orchestrator", "agent/reader", "agent/writer", "tool/documents", "inference"}
    assert {one["said"]["verdict"] for one in calls} == {"done", "refused"}
