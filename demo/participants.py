"""The participants: alice verifies them from her answer alone; then a forger alters it, or alice accepts less.

Nothing is asked of anybody while she verifies.  She has the authority's certificate, the policy of the log and the list
of the parties that she accepts from before.
"""

import asyncio
import datetime as dt
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
from cryptography import x509

from authorities.attestation.spiffe.svid_issuer import Issuer
from demo.again import PAUSE, TRIES
from demo.checks import ALLOWED, Attempt, Checks
from demo.intruder import outcome
from demo.parts import begin
from demo.story import post_task
from evidence import Accepted, Evidence, Party, Proven, Unproven, approved, evidence_of, verify
from evidence.verified_receipt import receipts_in
from registration.run_lock import RunError
from start.manual_steps import REQUEST
from start.program import console, paragraph, say, showing_progress
from start.system import ROOT, Running
from zerotrust.authority.files.lock import LOCK, load_lock
from zerotrust.authority.names import short
from zerotrust.receipts.carried import HEADER, embed_receipts, parse_answer
from zerotrust.receipts.receipt import KIND, digest_of
from zerotrust.registry.model import dns_name
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid
from zerotrust.tlog.quorum import TrustPolicy, policy
from zt.people.login import Login
from zt.receipt.commands import tree

FORGER, CHOOSY = "a forger, before alice has her answer", "alice, who accepts less than before"


@dataclass(frozen=True, slots=True)
class Reader:
    """Alice's material: the answer to her task, its proof, and what she believes."""

    answer: bytes
    request: bytes
    evidence: Evidence
    authorities: list[x509.Certificate]
    policy: TrustPolicy
    accepted: Accepted

    def verify(self) -> Proven:
        """Return who took part.  Raises `Unproven`."""
        return verify(
            self.answer,
            request=self.request,
            evidence=self.evidence,
            authorities=self.authorities,
            policy=self.policy,
            accepted=self.accepted,
        )

    @property
    def receipts(self) -> list[str]:
        """The receipts in the answer: that of the orchestrator, then the others."""
        found = parse_answer(self.answer)
        return list(found.receipts) if found else []

    def with_receipts(self, receipts: list[str]) -> "Reader":
        """Return the same with other receipts in the answer."""
        found = parse_answer(self.answer)
        return replace(self, answer=embed_receipts(found, receipts)) if found else self

    def with_parties(self, parties: dict[str, Party]) -> "Reader":
        """Return the same, but that alice accepts these parties."""
        return replace(self, accepted=replace(self.accepted, parties=parties))


async def show_receipts(system: Running, checks: Checks) -> None:
    """Have alice verify who took part in a task of hers, and show what she finds after each change."""
    begin(
        "Who really took part",
        "alice saw only the orchestrator. But each party signed a receipt: who asked it, with which token, what it "
        "answered, whom it called, and which code it ran. The receipts came with her answer. She asks once more, and "
        "verifies them offline: her program asks no service.",
    )
    with showing_progress("The task runs once more, and the log proves it"):
        alice, other = await run_task(system)
    proven = alice.verify()
    say(f"{len(alice.receipts)} receipts, {len(alice.answer):,} bytes with the answer; each call below its caller:")
    console.print(tree(proven.root))
    paragraph(
        "Now a forger alters her answer in four ways, and then alice accepts less in two ways. Each time she verifies "
        "again. docs/reference/receipts.md has the ten steps."
    )
    await checks.make_all(alterations(alice, proven, other))


async def run_task(system: Running) -> tuple[Reader, str]:
    """Return what alice has after a task, and the receipt of a call of hers that was refused."""
    registry = system.registry
    login = await system.sign_in("alice")
    async with system.user() as http:
        at = system.address("orchestrator")
        published = await http.get(f"{system.address(registry.authorities.registry)}/audit-policy")
        task = await post_task(http, at, login)
        if (ended := task.json()["result"])["event"] != "finished":
            raise RunError(f"the task {ended['event']}: {ended['text']}")
        refused = await http.post(f"{at}/tasks", json={"request": REQUEST, "department": "/finance"}, auth=login.auth)
        found, other = parse_answer(task.content), refused.headers.get(HEADER)
        if not found or not other:
            raise RunError(f"an answer without receipts: {outcome(task)}, {outcome(refused)}")
        evidence = await _fetch_proof(http, f"{at}/receipts/{digest_of(found.receipts[0])}", login)
    return Reader(
        task.content,
        task.request.content,
        evidence,
        x509.load_pem_x509_certificates(system.ca_file.read_bytes()),
        policy(published.raise_for_status().text),
        approved(registry, load_lock(ROOT / LOCK).parties),
    ), other


async def _fetch_proof(http: httpx.AsyncClient, url: str, login: Login) -> Evidence:
    answer = await http.get(url, auth=login.auth)
    for _ in range(TRIES):
        if answer.status_code == httpx.codes.OK:
            break
        await asyncio.sleep(PAUSE)  # a receipt is in the log within a second, or a few
        answer = await http.get(url, auth=login.auth)
    return evidence_of(answer.raise_for_status().content)


async def alterations(alice: Reader, proven: Proven, other: str) -> AsyncIterator[Attempt]:
    """Yield each change, with the step of the verification that fails and the party that it names."""
    parties = {one.signer: one for one in receipts_in(proven.root)}
    names = {short(party): party for party in parties}
    last = parties[names["tool/documents"]]
    caller = next(short(one.signer) for one in receipts_in(proven.root) if last in one.below)
    tool = next(one for one in alice.receipts if digest_of(one) == last.digest)
    resigned = sign(last.receipt.payload(), _forged_svid(last.signer), kind=KIND)
    forged = alice.with_receipts([resigned if one == tool else one for one in alice.receipts])
    without = alice.with_receipts([one for one in alice.receipts if one != tool])
    elsewhere = alice.with_receipts([other, *alice.receipts[1:]])
    accepted = alice.accepted.parties
    fewer = alice.with_parties({party: kept for party, kept in accepted.items() if party != names["agent/writer"]})
    other_code = alice.with_parties({**accepted, names["agent/reader"]: Party(frozenset({"0" * 64}))})
    for who, what, control, expected, held in (
        ("alice", "verifies her answer as it came", ALLOWED, "proven", alice),
        (FORGER, "changes a word of it", "digest of the answer", "step 4: orchestrator", _reword(alice)),
        (FORGER, "leaves out the tool's receipt", "digest in its caller's", f"step 5: {caller}", without),
        (FORGER, "signs the tool's receipt with a key of its own", "the authority", "step 2: tool/documents", forged),
        (FORGER, "puts the receipt of another call first", "proof of the log", "step 3: orchestrator", elsewhere),
        (CHOOSY, "does not accept the writer", "her own list", "step 9: agent/writer", fewer),
        (CHOOSY, "does not accept the reader's code", "digest of the code", "step 8: agent/reader", other_code),
    ):
        yield Attempt(who, what, control, expected, _outcome(held))


def _forged_svid(party: str) -> Svid:
    """Return a certificate in a party's name, of an authority that the forger made."""
    domain, _, name = party.removeprefix("spiffe://").partition("/")
    issuer, now = Issuer(domain), dt.datetime.now(dt.UTC)
    return Svid.from_der(*issuer.x509_svid(party, dns_name(name, domain), now=now, life=60), [issuer.ca_der])


def _reword(alice: Reader) -> Reader:
    """Return the answer with one word of its text reversed."""
    word = re.findall(r"[A-Za-z]{4,}", json.loads(alice.answer)["result"]["text"])[-1]
    before, _, after = alice.answer.rpartition(word.encode())
    return replace(alice, answer=before + word[::-1].encode() + after)


def _outcome(alice: Reader) -> str:
    """Return what the verification says."""
    try:
        alice.verify()
    except Unproven as error:
        return f"step {error.step}: {short(error.party)}"
    return "proven"
