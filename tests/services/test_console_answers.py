"""The answer of a task at the console: its owner gets all that it takes to verify it, and nobody else does."""

import asyncio
import base64

import pytest
from cryptography import x509

from console.answers import accepted
from evidence import Party, approved, evidence_of, verify
from tests.support.console import CONSOLE, FRONT, Browser, Consoled
from zerotrust.tlog.quorum import policy


async def started(browser: Browser) -> str:
    """The path of a task that was answered."""
    path = await browser.start("Read the incident reports and file a summary.")
    assert [one for one in await browser.hops(path) if one["event"] == "answer"]
    return path


async def test_python_verifies_what_the_owner_gets(here: Consoled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evidence.verified_receipt.LONGEST_CERTIFICATE", 100_000)  # those of the tests live long
    alice = await here.person("alice")
    path = await started(alice)
    async with asyncio.timeout(20):
        while not (given := (await alice.http.get(f"{path}/answer/files")).json())["proof"]:
            await asyncio.sleep(0.05)  # the log publishes it
    service = here.system.services[CONSOLE]
    own = approved(service.registry, service.snapshot.approved)

    found = verify(
        base64.b64decode(given["answer"]),
        authorities=x509.load_pem_x509_certificates(given["authorities"].encode()),
        accepted=own,
        policy=policy(given["policy"]),
        evidence=evidence_of(given["proof"].encode()),
        request=base64.b64decode(given["request"]),
        transaction=given["transaction"],
    )

    assert (found.root.signer, found.at is None) == (service.registry.id(FRONT), False)
    assert given["accepted"] == accepted(service)
    parties = {name: Party(*map(frozenset, one.values())) for name, one in given["accepted"]["parties"].items()}
    assert parties == own.parties
    assert {*given["accepted"]["outside"]} == own.outside


async def test_nobody_else_gets_an_answer_and_no_other_session_of_its_owner(here: Consoled) -> None:
    alice, again, bob, olga = [await here.person(one) for one in ("alice", "alice", "bob", "olga")]
    path = await started(alice)

    for browser, status in ((alice, 200), (again, 404), (bob, 404), (olga, 404), (here.browser(), 401)):
        answers = [await browser.http.get(f"{path}/answer{more}") for more in ("", "/files")]
        assert [one.status_code for one in answers] == [status, status]
    assert "There is no answer of this task here" in (await again.http.get(f"{path}/answer")).text
