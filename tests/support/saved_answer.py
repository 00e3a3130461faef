"""An answer with receipts, and what its owner saved to verify it."""

import json
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner, Result

from evidence.export import export_lines
from tests.support.ca import the_ca
from tests.support.receipt_tree import SCOPES, Task, code_of, spiffe_id
from zt.commands import app


class Files:
    """What alice has saved."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.task = folder, Task()
        (folder / "run").mkdir()
        accepted = {spiffe_id(name): [code_of(name)] for name in SCOPES}
        door = {"code": accepted.pop(spiffe_id("orchestrator")), "clients": ["walkthrough"]}
        entries = accepted | {spiffe_id("orchestrator"): door}
        (folder / "accept.yaml").write_text("".join(f"{one}: {json.dumps(entry)}\n" for one, entry in entries.items()))

    def write(self, *, answer: bytes | None = None) -> None:
        """Save an answer with its proof, and what else it takes to verify it."""
        task = self.task
        self.answer = task.answer()
        entry, proof = task.evidence()
        (self.folder / "answer.json").write_bytes(answer or self.answer)
        (self.folder / "answer.json.proof").write_text(json.dumps({"entry": entry.decode(), "proof": str(proof)}))
        (self.folder / "request.json").write_bytes(task.request)
        key, cosigner = task.keys.public, task.witness.public
        (self.folder / "run/audit.policy").write_text(f"log {key}\nwitness registry {cosigner}\nquorum registry\n")
        (self.folder / "run/ca.pem").write_bytes(the_ca().certificate.public_bytes(Encoding.PEM))
        log = task.log
        (self.folder / "export").write_bytes(b"".join(export_lines(log.note(task.witness), log.files.__getitem__)))

    def zt(self, *words: str) -> Result:
        return self.run(["receipt", words[0], str(self.folder / "answer.json"), *words[1:]])

    def run(self, words: Sequence[str]) -> Result:
        env = {"ZT_SYSTEM": str(self.folder)}
        return CliRunner().invoke(app, words, env=env)

    def verify(self, *words: str) -> Result:
        return self.zt("verify", "--accept", str(self.folder / "accept.yaml"), *words)
