"""`make register` and `make check`: what was approved of each party, and what is said when it is no longer so."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from authorities.attestation.verifier.measure import digest_of, measure_files
from local.alone import only_one
from registration.derive import current, derive, listed, tool_servers
from registration.register import approval, check, write
from tests.support.system import ROOT
from tools.documents import main as documents
from tools.documents.tools import TOOLS
from zerotrust.adapters.agent_card import agent_card, as_json
from zerotrust.adapters.digests import card_digest
from zerotrust.adapters.mcp_tools import McpTools
from zerotrust.registry.lock import Approved, Lock, as_text, entries, load_lock
from zerotrust.registry.model import Registry

ONE, OTHER = "1" * 64, "2" * 64
FILES = {"agents/reader/main.py": ONE, "orchestrator/main.py": ONE, "zerotrust/gate.py": ONE}


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Path:
    """A copy of this project, as it was registered."""
    folders = {folder for name in registry.launched for folder in registry.parties[name].code}
    for folder in [*folders, "deploy", "policies"]:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("registry.yaml", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    assert write(tmp_path) is None
    return tmp_path


def test_what_is_committed_is_current() -> None:
    assert check(ROOT) is None


def test_what_is_approved_and_what_is_to_be_committed_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert write(project) is None
    assert capsys.readouterr().out == "Nothing to approve: nothing has changed since the last `make register`.\n"

    appended(project, "agents/reader/main.py")
    assert write(project) is None
    assert capsys.readouterr().out == (
        "Approved:\n"
        "  ~ party agent/reader\n"
        "      ~ code agents/reader/main.py\n"
        "Next:\n"
        "  1. Review the list above.\n"
        "  2. Commit registry.lock: that is the approval.\n"
        "  3. Start: make up, or docker compose up --build --wait\n"
    )

    assert check(project) is None
    assert capsys.readouterr().out == ""  # `make check` is silent when all is well


def test_who_approves_while_the_system_runs_is_told_first_what_that_does(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "run").mkdir()
    appended(project, "agents/reader/main.py")
    capsys.readouterr()
    with only_one(project / "run"):
        assert write(project) is None
    first, second, *_, restart, reinstate = capsys.readouterr().out.splitlines()

    assert first == f"The system runs, as process {os.getpid()}."
    assert second == "A running party whose files changed is suspended until you reinstate it."
    assert restart == "  3. Restart: make down, then make up"
    assert reinstate == "  4. Reinstate each suspended party: zt party reinstate NAME"

    change(project, "max_ttl: 300", "max_ttl: 299")
    with only_one(project / "run"):
        assert write(project) is None
    first, *_, reload = capsys.readouterr().out.splitlines()
    assert first == "Approved:"
    assert reload == "  3. Make it known to the running system: zt reload"


def change(project: Path, old: str, new: str, file: str = "registry.yaml") -> None:
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))


def test_rights_are_shown_as_a_diff(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(project, "delegates: [tool.read, inference.run,", "delegates: [tool.read, llama.models, inference.run,")
    assert write(project) is None
    counting = {**documents.ROUTES, ("POST", "/mcp"): McpTools({**TOOLS, "count": "tool.audit"})}
    monkeypatch.setattr(documents, "ROUTES", counting)
    change(project, "delegates: [tool.read, llama.models,", "delegates: [tool.read, tool.audit,")
    change(project, "  tool.write:", "  tool.audit: { served_by: [tool/documents] }\n  tool.write:")
    for held in "delegates: [task.run,", "delegates: [agent.invoke,":
        change(project, held, held.replace("[", "[tool.audit, "))
    change(project, '"tool.write",', '"tool.write", "tool.audit",', "policies/schema.cedarschema")
    capsys.readouterr()

    assert write(project) is None
    assert capsys.readouterr().out.partition("Next:")[0] == (
        "Approved:\n"
        "  ~ party agent/reader\n"
        "      + delegates tool.audit\n"
        "      - delegates llama.models\n"
        "  ~ party orchestrator\n"
        "      + delegates tool.audit\n"
        "  ~ party walkthrough\n"
        "      + delegates tool.audit\n"
        "  + scope tool.audit, served by tool/documents\n"
    )


def test_rights_that_the_lock_does_not_have_are_new(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever takes them out of it hides no right from whoever approves the next one."""
    lock = load_lock(project / "registry.lock")
    (project / "registry.lock").write_text(as_text(lock.model_copy(update={"rights": {}})))
    capsys.readouterr()

    assert write(project) is None
    told = capsys.readouterr().out
    for name, rights in lock.rights.items():
        assert f"  ~ party {name}\n" in told
        assert f"      + delegates {', '.join(sorted(rights.delegates))}\n" in told or not rights.delegates


def test_a_party_that_is_gone_and_its_code_are_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = load_lock(project / "registry.lock")
    more = {"agents/ghost/main.py": ONE}, {"agent/ghost": Approved(code=ONE)}, {"parties.agent/ghost": ONE}
    now = {"files": lock.files | more[0], "parties": lock.parties | more[1], "registry": lock.registry | more[2]}
    (project / "registry.lock").write_text(as_text(lock.model_copy(update=now)))
    capsys.readouterr()

    assert write(project) is None
    assert capsys.readouterr().out.partition("Next:")[0] == (
        "Approved:\n  - party agent/ghost\n  - code agents/ghost/main.py\n"
    )


def test_what_does_not_fit_is_neither_checked_nor_registered(project: Path) -> None:
    before = (project / "registry.lock").read_text()
    change(project, '"tool.write", ', "", "policies/schema.cedarschema")

    for said in write(project), check(project):
        assert 'policies/schema.cedarschema: no action "tool.write"' in str(said)
        assert str(said).endswith("Nothing is approved. What belongs where: docs/how-to/change-a-rule.md.")
    change(project, "port: 8103", "port: 8102", "deploy/local.yaml")
    assert str(check(project)).endswith("Nothing is approved. What belongs where: docs/how-to/add-an-agent.md.")
    assert (project / "registry.lock").read_text() == before


# --- what is said -----------------------------------------------------------------------------------------------------


def said(project: Path) -> list[str]:
    """What `make check` says, without its first line, which names the file, and its last, which says what to do."""
    file, *lines, to_do = (check(project) or "").splitlines()
    assert file == "registry.lock:"
    assert to_do == "Not as approved: review each, then run `make register` and commit its output."
    return [line.strip() for line in lines]


def appended(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("\n")


def added(project: Path, path: str) -> None:
    (project / path).parent.mkdir(exist_ok=True)
    (project / path).touch()


UNFIT: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a file that changed": (
        lambda project: appended(project, "agents/reader/main.py"),
        ["~ party agent/reader", "~ code agents/reader/main.py"],
    ),
    **{
        f"an added file, {path}": (partial(added, path=path), [f"+ shared code {path}"])
        for path in ("zerotrust/planted.pyc", "zerotrust/deep/er.txt")
    },
    "a file that is gone": (
        lambda project: (project / "inference/script.py").unlink(),
        ["~ party inference", "- code inference/script.py"],
    ),
    "an authority that grew": (
        lambda project: change(project, "delegates: [tool.read, ", "delegates: [tool.read, llama.models, "),
        ["~ party agent/reader", "+ delegates llama.models"],
    ),
    "rights that were edited in the lock": (
        lambda project: change(project, '"tool.read"', '"tool.none"', "registry.lock"),
        ["~ party agent/reader", "+ delegates tool.read", "- delegates tool.none"],
    ),
    "a lock written by hand": (
        lambda project: change(project, "\n", "\n\n", "registry.lock"),
        ["It is not in the form that `make register` writes."],
    ),
}


@pytest.mark.parametrize(("alter", "lines"), UNFIT.values(), ids=UNFIT)
def test_what_is_not_as_it_was_approved_is_named(
    project: Path, alter: Callable[[Path], object], lines: list[str]
) -> None:
    alter(project)

    assert said(project) == lines


def test_what_no_party_runs_is_not_approved_and_may_change(project: Path) -> None:
    (project / "notes.txt").touch()
    added(project, "agents/reader/__pycache__/main.pyc")

    assert check(project) is None


def test_a_digest_that_was_edited_is_reported(project: Path) -> None:
    lock = project / "registry.lock"
    approved = load_lock(lock)
    reader = approved.parties["agent/reader"]
    assert reader.card
    assert reader.code
    lock.write_text(lock.read_text().replace(reader.card, ONE).replace(reader.code, OTHER))

    assert said(project) == ["~ party agent/reader", "~ agent card"]


def test_without_a_lock_nothing_is_approved(project: Path) -> None:
    (project / "registry.lock").unlink()

    assert "registry.lock: cannot be read (No such file or directory): `make register` writes it" in str(check(project))


def test_a_registry_with_a_mistake_is_neither_checked_nor_registered(project: Path) -> None:
    before = (project / "registry.lock").read_text()
    (project / "registry.yaml").write_text("trust_domain: agents.example")

    assert "registry.yaml: realm: Field required" in str(check(project))
    assert "registry.yaml: realm: Field required" in str(write(project))
    assert (project / "registry.lock").read_text() == before


def test_code_that_cannot_be_read_whole_is_not_approved(project: Path) -> None:
    (project / "agents" / "reader" / "link.py").symlink_to(project / "agents" / "writer" / "main.py")

    assert "link.py: neither a file nor a folder" in str(write(project))
    assert "link.py: neither a file nor a folder" in str(check(project))


def test_every_entry_that_differs_has_a_line_of_its_own(registry: Registry) -> None:
    approved = Lock(
        files=FILES,
        parties={"a": Approved(code=ONE, card=ONE, tools={"read": ONE, "gone": ONE}), "b": Approved()},
        registry={"parties.a": ONE, "parties.b": ONE, "freshness": ONE},
    )
    found = Lock(
        files=FILES,
        parties={"a": Approved(code=ONE, card=OTHER, tools={"read": OTHER, "new": ONE}), "c": Approved()},
        registry={"parties.a": OTHER, "parties.c": ONE, "freshness": ONE},
    )

    assert approval(registry, approved, found) == [
        "~ party a",
        "    - tool gone",
        "    + tool new",
        "    ~ tool read",
        "    ~ agent card",
        "- party b",
        "+ party c",
    ]
    assert approval(registry, approved, approved) == []


# --- what is derived --------------------------------------------------------------------------------------------------


def test_a_party_is_approved_with_its_code_its_authority_its_card_and_its_tools(registry: Registry) -> None:
    _, lock = current(ROOT)
    reader, documents, walkthrough = (lock.parties[n] for n in ("agent/reader", "tool/documents", "walkthrough"))

    assert reader.code == digest_of(measure_files(ROOT, ["agents/reader", "zerotrust"], leave_out={"__pycache__"}))
    assert reader.card == card_digest(
        as_json(agent_card("agent/reader", "https://reader.agent.agents.example", ["agent.invoke"]))
    )
    assert set(documents.tools) == {"search", "read", "create", "replace", "delete"}
    assert documents.card is None
    assert (walkthrough.code, walkthrough.card, walkthrough.tools) == (None, None, {})
    assert set(lock.parties) == set(registry.parties)
    assert lock.registry == entries(registry)
    assert {f"parties.{name}" for name in registry.parties} < lock.registry.keys()


def test_who_serves_agents_has_a_card_and_who_serves_tools_has_tools(registry: Registry) -> None:
    lock = derive(registry, FILES, {"tool/documents": {"read": ONE}})

    agents = set(registry.scopes["agent.invoke"].served_by)
    assert {name for name, party in lock.parties.items() if party.card} == agents >= {"agent/reader", "agent/writer"}
    assert {name for name, party in lock.parties.items() if party.tools} == {"tool/documents"}
    assert tool_servers(registry) == ["tool/documents"]


def test_what_one_party_runs_does_not_count_for_another(registry: Registry) -> None:
    before = derive(registry, FILES, {})
    after = derive(registry, FILES | {"agents/reader/main.py": OTHER}, {})

    assert {name for name in before.parties if before.parties[name] != after.parties[name]} == {"agent/reader"}


async def test_what_is_listed_for_approval_is_what_the_server_declares() -> None:
    assert set(await listed("tools.documents.main")) == {"search", "read", "create", "replace", "delete"}
