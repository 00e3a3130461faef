"""The pages about the audit log: the examples print what the page says, and the formats are those in use."""

import os
import re
import subprocess
from pathlib import Path
from typing import get_args

import orjson
import pytest
from typer.testing import CliRunner

from evidence.export import VERSION, Header
from evidence.fault import What
from tests.support.audit_log import SERVICES, Ledger, record, small
from tests.support.tlog import Log
from zerotrust.audit.record import Link, hash_of
from zerotrust.authority.ledger.leaf import leaf_of
from zerotrust.tlog.note import parse_note
from zerotrust.tlog.proof import FORMAT
from zt.commands import app
from zt.output import console

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "audit-log.md").read_text()
EVIDENCE = (ROOT / "docs" / "explain" / "evidence.md").read_text()
EXAMPLES = re.findall(r"^```console\n(.*?)^```", EVIDENCE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small log, its policy and journals, and what others have made of them: the page says what each file is."""
    log, twice = small(), small()
    again = record(SERVICES[0], Link(3, hash_of(b"another")))
    twice.heads[SERVICES[0]] = Link(4, hash_of(again))
    twice.log.grow(again, twice.heads_leaf)
    for name, made in {"evidence": log, "twice": twice}.items():
        (tmp_path / f"{name}.jsonl").write_bytes(made.export())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "audit.policy").write_text(log.policy_text)
    lay_out(log.log, log, tmp_path / "run" / "data" / "authority-audit" / "log")
    for service, lines in log.journals.items():
        party = tmp_path / "journals" / service.partition("example/")[2].replace("/", "-")
        party.mkdir(parents=True)
        (party / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZT_SYSTEM", str(tmp_path))
    monkeypatch.setattr(console, "width", 80)
    return tmp_path


def lay_out(log: Log, ledger: Ledger, folder: Path) -> None:
    for name, content in {**log.files, "checkpoint": str(log.note(*ledger.witnesses)).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def printed(command: str) -> str:
    """What a command prints: `zt` in this process, everything else in a shell."""
    if command.startswith("zt "):
        return CliRunner().invoke(app, command.split()[1:]).output
    run = ["bash", "-ec", command]
    return subprocess.run(run, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout  # noqa: S603


@pytest.mark.parametrize("example", EXAMPLES, ids=[one.split("\n")[0][2:40] for one in EXAMPLES])
def test_each_example_prints_what_the_page_says(folder: Path, example: str) -> None:
    parts = re.split(r"^\$ (.*)\n", example, flags=re.MULTILINE)[1:]

    for command, expected in zip(parts[::2], parts[1::2], strict=True):
        lines = [line.rstrip() for line in printed(command).splitlines()]
        assert lines == expected.splitlines(), command


def test_every_kind_of_fault_is_on_the_page() -> None:
    table = PAGE.partition("\n## Faults\n")[2]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(What))


def test_the_leaves_of_the_page_are_leaves() -> None:
    found = [line.strip() for line in re.findall(r"^    (\{\"(?:event|heads)\":.*)$", PAGE, re.MULTILINE)]

    assert {type(leaf_of(line.encode())).__name__ for line in found} == {"Record", "Heads"}


def test_the_format_of_exports_is_the_one_that_is_written() -> None:
    [table] = re.findall(r"^### The export\n(.*?)^### ", PAGE, re.MULTILINE | re.DOTALL)
    members = re.findall(r"^\| `(\w+)` \| [^|]+ \| always \|", table, re.MULTILINE)

    assert {*members} == {*orjson.loads(Header(NOTE).line)}
    assert f"{VERSION}, the version of this format" in table
    assert FORMAT in PAGE


NOTE = small().log.note()


def test_the_checkpoint_of_the_page_is_a_note() -> None:
    [block] = re.findall(r"^### The checkpoint\n.*?```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert len(parse_note(block.encode()).signatures) == 2
