"""The first lines of the page about receipts verify an answer, once the system has been asked for it and its proof."""

import json
import re
import shlex
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from tests.support.ca import the_ca
from tests.support.receipt_tree import SCOPES, Task, code_of, spiffe_id
from tests.support.system import ROOT
from zerotrust.audit.export import exported
from zt.commands import app

PAGE = (ROOT / "docs" / "reference" / "receipts.md").read_text()
LINES = re.findall(r"^```bash\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)[0].splitlines()


def test_there_are_five_lines() -> None:
    assert len(LINES) == 5


def test_the_last_line_verifies_what_the_others_have_saved(tmp_path: Path) -> None:
    task = Task()
    (tmp_path / "answer.json").write_bytes(task.answer())
    entry, proof = task.evidence()
    (tmp_path / "answer.json.proof").write_text(json.dumps({"entry": entry.decode(), "proof": str(proof)}))
    log = exported(task.log.note(task.witness), task.log.files.__getitem__, 0)
    (tmp_path / "evidence.jsonl").write_bytes(b"".join(log))
    policy = f"log {task.keys.public}\nwitness registry {task.witness.public}\nquorum registry\n"
    (tmp_path / "audit.policy").write_text(policy)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/ca.pem").write_bytes(the_ca().certificate.public_bytes(Encoding.PEM))
    accepted = {spiffe_id(name): [code_of(name)] for name in SCOPES}
    entry_party = {"code": accepted.pop(spiffe_id("orchestrator")), "clients": ["walkthrough"]}
    (tmp_path / "accept.yaml").write_text(json.dumps(accepted | {spiffe_id("orchestrator"): entry_party}))

    saved = {one.name for one in tmp_path.iterdir()}
    words = [str(tmp_path / word) if word in saved else word for word in shlex.split(LINES[-1])[1:]]
    env = {"ZT_SYSTEM": str(tmp_path), "ZT_WITNESS": str(tmp_path / "witness")}
    shown = CliRunner().invoke(app, [*words, "--accept", str(tmp_path / "accept.yaml")], env=env)

    assert shown.exit_code == 0, shown.output
