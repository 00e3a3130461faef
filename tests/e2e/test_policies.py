"""Policies are changed on the real system with `zt policy`: the next call at every service is decided by them."""

import asyncio
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from demo.intruder import Intruder, User, outcome
from start.system import ROOT, System
from tests.support.differences import edit, edits
from tests.support.real_tasks import task, versions
from tests.support.records import records

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

POLICY_AUTHORITY = "authority/policy"


@pytest.fixture
def policy(system: System, zt: Callable[..., str]) -> Callable[..., str]:
    """`zt policy`, the installed program, as olga."""
    return partial(zt, "--journals", str(system.journal(POLICY_AUTHORITY).parents[1]), "policy")


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """A copy of the policies, edited as docs/how-to/change-a-rule.md says: only people file drafts."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    for name, difference in edits("how-to/change-a-rule.md"):
        edit(tmp_path, name, difference)
    return tmp_path / "policies"


async def test_policies_are_changed_and_rolled_back_while_everything_runs(
    system: System, intruder: Intruder, policy: Callable[..., str], stricter: Path
) -> None:
    async def draft() -> str:
        writer = User("alice", intruder, agent="agent/writer")
        return outcome(await intruder.call_tool("agent/writer", await writer.t2(), "create", title="A", text="text"))

    allowed, first = await draft(), in_force(await asyncio.to_thread(policy, "list"))
    tested = " ".join((await asyncio.to_thread(policy, "test", str(stricter))).split())
    assert "These policies are fit to be published." in tested
    assert "document.create alice's draft: yes (create-draft-in-own-department) -> no (resource_denied)" in tested

    await asyncio.to_thread(policy, "activate", str(stricter), "--because", "only people file drafts")
    try:
        await decided_by(system, first + 1)
        refused = await draft()
        assert in_force(await asyncio.to_thread(policy, "list")) == first + 1
    finally:
        await asyncio.to_thread(policy, "rollback", str(first), "--because", "it was a trial")
    await decided_by(system, first + 2)

    assert (allowed, await draft()) == ("200 ok", "200 ok")
    assert refused != "200 ok"
    changes = [record for record in records(system.journal(POLICY_AUTHORITY)) if record["event"] == "administration"]
    rule = [record for record in changes if " rule create-draft-in-own-department" in record["target"]]
    assert "in the user's name. -> A user with" in rule[0]["cause"]
    activations = [record for record in changes if " -> " not in (record["cause"] or "")]
    assert [(record["action"], record["cause"]) for record in activations[-2:]] == [
        ("activate", "only people file drafts"),
        ("rollback", "it was a trial"),
    ]


async def test_why_a_task_was_refused_something_is_explained_in_words(
    system: System, policy: Callable[..., str]
) -> None:
    """The report that alice's task reads asks for finance's forecast."""
    trace = (await task(system, "alice"))["result"]["trace_id"]

    told = " ".join((await asyncio.to_thread(policy, "explain", trace)).split())

    assert re.search(
        r"yes .{0,20}orchestrator > agent/reader asked for tool\.read at tool/documents \(use-an-api\)", told
    ), told
    assert told.count("use-an-api: For a user of a department, a party may call an API") == 1
    assert "No rule permits it. Nearest: read-own-department, but the document is not in a department of the" in told
    assert told.index(" no ") < told.index(" yes ")


async def decided_by(system: System, number: int) -> None:
    """Return when a task is decided by that version at every service."""
    async with asyncio.timeout(60):
        while {version.partition("-")[0] for version in await versions(system)} != {str(number)}:
            await asyncio.sleep(0.02)


def in_force(listed: str) -> int:
    """The version that a list says is in force."""
    [number] = re.findall(r"(\d+) in force", listed)
    return int(number)
