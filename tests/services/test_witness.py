"""The registry's door for the ledger: nobody else comes in, and what goes through is not recorded."""

from pathlib import Path

import httpx
import pytest

from authorities.audit.cosigning import Cosigners
from authorities.audit.log import Log
from tests.support.ca import NO_CERTIFICATE, workload
from tests.support.ledger import grow
from tests.support.registry_authority import ADDRESS, NAME, Authority
from tests.support.system import Wire
from tests.support.tlog import ORIGIN
from zerotrust.decision import Reason
from zerotrust.tlog.quorum import policy

LEDGER = "authority/audit"


def wire(authority: Authority, party: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Wire({ADDRESS: authority.app}, workload(party)))


async def test_the_ledger_has_its_checkpoints_cosigned_and_everybody_reads_the_policy(
    tmp_path: Path, authority: Authority
) -> None:
    assert (await authority.ask("GET", "/audit-policy")).status_code == 404
    log = await Log.open(tmp_path / "log", ORIGIN, Cosigners(ADDRESS, http=wire(authority, LEDGER)))
    await log.finish()
    before = authority.system.records(NAME)
    for _ in range(3):
        await grow(log)

    demanded = await authority.ask("GET", "/audit-policy")
    assert demanded.status_code == 200
    assert log.note
    checkpoint, times = policy(demanded.text).check(log.note)
    assert (checkpoint.origin, checkpoint.size, list(times)) == (ORIGIN, 6, ["registry"])
    calls = [record for record in authority.system.records(NAME) if record["event"] == "request"]
    assert calls == [record for record in before if record["event"] == "request"]
    await log.close()


@pytest.mark.parametrize("party", ["agent/reader", "authority/attestation", None])
async def test_nobody_else_is_cosigned(authority: Authority, party: str | None) -> None:
    answer = await authority.ask("POST", "/add-checkpoint", peer=workload(party) if party else NO_CERTIFICATE)

    assert answer.json()["reason"] == Reason.UNKNOWN_PEER.value
    assert not (authority.system.folder / "authority-registry" / "witness.key").exists()


async def test_what_is_no_checkpoint_is_answered_as_the_specification_says(authority: Authority) -> None:
    async with wire(authority, LEDGER) as http:
        answer = await http.post(f"{ADDRESS}/add-checkpoint", content=b"old 0\n")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
