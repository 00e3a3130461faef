"""`zt audit` on the log of the real ledger, as it lies on the disk: exported, verified, compared."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.support.audited import AUDIT, READER, WRITER, audited, identity, written
from tests.support.ca import workload
from tests.support.issuer import Issuer
from zerotrust.audit.record import Link, hash_of
from zt.commands import app


def zt(*words: str) -> Any:
    shown = CliRunner().invoke(app, ["audit", *words, "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)


async def test_what_parties_delivered_is_exported_and_verified(tmp_path: Path, issuer: Issuer) -> None:
    of_reader, of_writer = written(READER, 300), written(WRITER, 3)
    async with audited(tmp_path / "data", issuer) as ledger:
        for party, lines in (READER, of_reader), (WRITER, of_writer):
            assert (await ledger.send(party, lines)).status_code == 200
        async with ledger.client(workload(READER)) as http:
            answer = await http.get(f"{ledger.system.registry.address('authority/registry')}/audit-policy")
        log, trust = str(tmp_path / "data" / AUDIT.replace("/", "-") / "log"), str(tmp_path / "policy")
        Path(trust).write_text(answer.text)

        assert zt("export", "--log", log, "--to", str(tmp_path / "first"))["size"] > 303  # while the ledger runs
        last = Link(3, hash_of(of_writer[-1]))
        more = written(WRITER, 2, last)
        assert (await ledger.send(WRITER, more)).status_code == 200
        assert zt("export", "--log", log, "--to", str(tmp_path / "second"))["size"]

    for party, lines in (READER, of_reader), (WRITER, [*of_writer, *more]):
        journal = tmp_path / "journals" / party.replace("/", "-") / "journal.jsonl"
        journal.parent.mkdir(parents=True)
        journal.write_bytes(b"".join(line + b"\n" for line in lines))
    found = zt("verify", str(tmp_path / "second"), "--policy", trust)
    assert set(found["cosigned"]) == {"registry"}
    assert found["records"] == {identity(READER): 300, identity(WRITER): 5}

    compared = zt("verify", str(tmp_path / "second"), "--policy", trust, "--journals", str(tmp_path / "journals"))
    assert compared["not_delivered"] == {identity(READER): 0, identity(WRITER): 0}
