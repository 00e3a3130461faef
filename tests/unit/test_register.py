"""`make register` and `make check`: what was approved of each party, and what is said when it is no longer so."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from authorities.attestation.verifier.measure import digest_of, measure_files
from registration.derive import as_text, load_current
from registration.register import approval_lines, check, write
from tests.support.system import ROOT
from zerotrust.adapters.agent_card import agent_card, as_json, card_digest
from zerotrust.authority.files.lock import Lock, entries, load_lock
from zerotrust.registry.model import Approved, Registry

ONE, OTHER = "1" * 64, "2" * 64
FILES = {"agents/reader/main.py": ONE, "orchestrator/main.py": ONE, "zerotrust/gate.py": ONE}


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Path:
    """A copy of this project, as it was registered."""
    for folder in [*registry.measured.values(), "zerotrust", "evidence", "policies", "start"]:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("registry.yaml", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    assert write(tmp_path) is None
    return tmp_path


def test_what_is_committed_is_current() -> None:
    assert check(ROOT) is None


def change(project: Path, old: str, new: str, file: str = "registry.yaml") -> None:
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))


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


def test_what_does_not_fit_is_neither_checked_nor_registered(project: Path) -> None:
    before = (project / "registry.lock").read_text()
    change(project, '"tool.write", ', "", "policies/schema.cedarschema")

    for said in write(project), check(project):
        assert 'policies/schema.cedarschema: no action "tool.write"' in str(said)
        assert str(said).endswith("Nothing is approved. The place of each: docs/how-to/change-a-rule.md.")
    change(project, "port: 8103", "port: 8102", "registry.yaml")
    assert str(check(project)).endswith("Nothing is approved. The place of each: docs/how-to/add-an-agent.md.")
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
        f"an added file, {path}": (partial(added, path=path), ["~ party agent/reader", f"+ code {path}"])
        for path in ("agents/reader/planted.pyc", "agents/reader/deep/er.txt")
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


def test_code_that_cannot_be_read_whole_is_not_approved(project: Path) -> None:
    (project / "agents" / "reader" / "link.py").symlink_to(project / "agents" / "writer" / "main.py")

    assert "link.py: neither a file nor a folder" in str(write(project))
    assert "link.py: neither a file nor a folder" in str(check(project))


def test_every_entry_that_differs_has_a_line_of_its_own_and_so_has_what_a_party_runs(registry: Registry) -> None:
    reader = "agent/reader"
    approved = Lock(
        files=FILES,
        runs={reader: ["agents/reader/main.py", "zerotrust/gate.py"]},
        parties={reader: Approved(code=ONE, card=ONE, tools={"read": ONE, "gone": ONE}), "b": Approved()},
        registry={f"parties.{reader}": ONE, "parties.b": ONE, "freshness": ONE},
    )
    found = Lock(
        files=FILES,
        runs={reader: ["agents/reader/main.py", "agents/reader/more.py", "zerotrust/checks.py"]},
        parties={reader: Approved(code=OTHER, card=OTHER, tools={"read": OTHER, "new": ONE}), "c": Approved()},
        registry={f"parties.{reader}": OTHER, "parties.c": ONE, "freshness": ONE},
    )

    assert approval_lines(registry, approved, found) == [
        f"~ party {reader}",
        "    runs agents/reader, and what it imports",
        "    + imports zerotrust/checks.py",
        "    - imports zerotrust/gate.py",
        "    - tool gone",
        "    + tool new",
        "    ~ tool read",
        "    ~ agent card",
        "- party b",
        "+ party c",
    ]
    assert approval_lines(registry, approved, approved) == []


# --- what is derived --------------------------------------------------------------------------------------------------


def test_a_party_is_approved_with_its_code_its_authority_its_card_and_its_tools(registry: Registry) -> None:
    _, lock = load_current(ROOT)
    reader, documents, walkthrough = (lock.parties[n] for n in ("agent/reader", "tool/documents", "walkthrough"))

    assert reader.code == digest_of(measure_files(ROOT, (), lock.runs["agent/reader"]))
    assert reader.card == card_digest(
        as_json(agent_card("agent/reader", "https://reader.agent.agents.example", ["agent.invoke"]))
    )
    assert set(documents.tools) == {"search", "read", "create", "replace", "delete"}
    assert documents.card is None
    assert (walkthrough.code, walkthrough.card, walkthrough.tools) == (None, None, {})
    assert set(lock.parties) == set(registry.parties)
    assert lock.registry == entries(registry)
    assert {f"parties.{name}" for name in registry.parties} < lock.registry.keys()


def test_manifests_for_kubernetes_follow_the_registry(project: Path) -> None:
    manifest = project / "start/kubernetes/generated/network.yaml"
    manifest.write_text(written := manifest.read_text().replace("[orchestrator]", "[orchestrator, agent-writer]", 1))
    assert check(project) == "Not as registry.yaml says, run `make register`: start/kubernetes/generated/network.yaml"
    assert write(project) is None
    assert manifest.read_text() != written
    before = manifest.stat().st_mtime_ns
    assert check(project) is None
    assert write(project) is None
    assert manifest.stat().st_mtime_ns == before
