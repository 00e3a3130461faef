"""A task's receipts, as honest parties sign them, or as somebody who has the keys of some parties would.

task = Task()
task.reader.said["code"] = "ab" * 32      # what the reader signs, in place of what is true
task.verified()                           # raises `Unproven`
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import orjson

from evidence.accepted import Accepted, Party
from evidence.completeness import LATE
from evidence.participants import Proven, verify
from evidence.signing_time import LONGEST_TASK
from tests.support.ca import the_ca
from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Peer, Trace
from zerotrust.audit.event_types import Exchange, Outcome, Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.record import GENESIS, Link, content_of, event_of, line_of, link_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.receipts.carried import MEMBER
from zerotrust.receipts.receipt import KIND, digest_of
from zerotrust.spiffe.statement import sign
from zerotrust.spiffe.svid import Svid
from zerotrust.tlog.note import ED25519
from zerotrust.tlog.proof import Evidence, Proof
from zerotrust.tlog.quorum import TrustPolicy, policy

TRACE = "1" * 32
SCOPES = {
    "orchestrator": "task.run",
    "agent/reader": "agent.invoke",
    "tool/documents": "tool.read",
    "inference": "inference.run",
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def spiffe_id(party: str) -> str:
    return f"spiffe://agents.example/{party}"


def code_of(party: str) -> str:
    """The digest of the code that is approved for a party."""
    return digest(f"code of {party}")


@dataclass
class Hop:
    """One party's part in a task."""

    party: str
    calls: list["Hop"] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)
    """Members of its receipt, in place of what is true; None leaves one out."""
    told: dict[str, Any] = field(default_factory=dict)
    """Members of its entry in the receipt of its caller, in place of what is true; None leaves one out."""
    entered: bool = True
    """Whether its caller's receipt has the call."""
    carried: bool = True
    """Whether its receipt, and those below, are in the answer."""
    svid: Svid | None = None
    signed: str | None = None
    """A receipt that is put in place of its own."""
    trace: str = TRACE
    """The trace in the records of its call."""

    @property
    def id(self) -> str:
        return spiffe_id(self.party)


class Task:
    """Alice's task: the orchestrator asks the reader, and that the model and the tool."""

    def __init__(self, root: str = "T0", trace: str = TRACE, *, again: str = "") -> None:
        """`again`: what tells the tokens of another task of the same sign-in apart; by default they are used again."""
        self.tool, self.model = Hop("tool/documents", trace=trace), Hop("inference", trace=trace)
        self.reader = Hop("agent/reader", [self.model, self.tool], trace=trace)
        self.orchestrator = Hop("orchestrator", [self.reader], trace=trace)
        self.txn, self.now, self.request = root, int(time.time()), b'{"request":"Summarise."}'
        self.content = b'{"result":"A summary.","%b":""}' % MEMBER.encode()
        self.keys, self.witness = Keys(ORIGIN, ED25519), witness("registry")
        self.seen = self.now + 2
        """When the witness cosigns."""
        self.written = self.now + LONGEST_TASK + LATE
        """When the ledger has written the last leaf: later than any record of this task could be."""
        self.again = again
        self.more: list[bytes] = []
        """Leaves before those of this task."""
        self._links: dict[str, Link] = {}
        self._spans = count(1)

    # what is signed

    def receipts(self) -> list[str]:
        """All receipts in the answer, that of the orchestrator first."""
        self.entries: list[bytes] = []
        self._links = {}
        for line in self.more:
            self._append(event_of(line).service, content_of(line))
        self._spans = count(1)
        return [text for text in self._signed(self.orchestrator, self.txn, (), None) if text]

    def _signed(self, hop: Hop, token: str, lineage: tuple[str, ...], caller: Hop | None) -> list[str]:
        span, line = f"{next(self._spans):016x}", len(self.entries)
        below, calls = [], []
        self._record(hop, self._asked(hop, token, lineage, caller), span)
        for called in hop.calls:
            self._record(hop, self._exchanged(hop, called, token, lineage), span)
            got = self._got(token, called)
            theirs = self._signed(called, got, (*lineage, token), hop)
            own = theirs[0]
            if called.entered:
                calls.append(_merged(self._entry(called, got, own), called.told))
            if called.carried:
                below += theirs
        text = hop.signed or self._own(hop, token, lineage, caller, span, calls)
        self._record(hop, self._ended(hop, text), span)
        self._line = line
        return [text, *below]

    def _got(self, token: str, called: Hop) -> str:
        return f"{token}.{called.party}{self.again}"

    def _entry(self, called: Hop, token: str, receipt: str) -> dict[str, Any]:
        asked = {"request": digest(f"{called.party} asked"), "answer": digest(f"{called.party} answers")}
        return {"aud": called.id, "token": token, "receipt": digest_of(receipt), **asked}

    def _own(
        self, hop: Hop, token: str, lineage: tuple[str, ...], caller: Hop | None, span: str, calls: list[Any]
    ) -> str:
        said = {
            "id": f"{hop.trace}-{span}",
            "txn": self.txn,
            "began": self.now,
            "iat": self.now,
            "caller": caller.id if caller else None,
            "token": {"jti": token, "azp": caller.id if caller else "walkthrough", "aud": hop.id, "lineage": lineage},
            "request": digest(f"{hop.party} asked") if caller else hashlib.sha256(self.request).hexdigest(),
            "answer": digest(f"{hop.party} answers") if caller else hashlib.sha256(self.content).hexdigest(),
            "status": 200,
            "verdict": "done",
            "operation": "POST /",
            "permission": SCOPES.get(hop.party),
            "resources": [],
            "policy": "41d3c5a0b7e2",
            "code": code_of(hop.party),
            "calls": calls,
        }
        payload = orjson.dumps(_merged(said, hop.said), option=orjson.OPT_SORT_KEYS)
        return sign(payload, self.svid(hop), kind=KIND)

    def svid(self, hop: Hop) -> Svid:
        hop.svid = hop.svid or the_ca().svid(hop.party, life=120)
        return hop.svid

    # what is logged

    def _asked(self, hop: Hop, token: str, lineage: tuple[str, ...], caller: Hop | None) -> Request:
        return Request(
            operation=sanitize("POST /"),
            decision=Decided(allowed=True, reason="granted"),
            peer=Peer(id=caller.id) if caller else None,
            principal=self._principal(hop, token, lineage, caller),
        )

    def _exchanged(self, hop: Hop, called: Hop, token: str, lineage: tuple[str, ...]) -> Exchange:
        return Exchange(
            audience=called.id,
            scopes=(),
            decision=Decided(allowed=True, reason="granted"),
            principal=self._principal(hop, token, lineage, None),
            parent_token_id=token,
            token_id=self._got(token, called),
        )

    def _ended(self, hop: Hop, receipt: str) -> Outcome:
        nothing = digest("")
        return Outcome(
            ended="complete",
            duration=1,
            request_sha256=nothing,
            answer_sha256=nothing,
            receipt=digest_of(receipt) if hop.carried else digest(receipt),
        )

    def _principal(self, hop: Hop, token: str, lineage: tuple[str, ...], caller: Hop | None) -> Caller:
        return Caller(
            subject="alice",
            party=caller.id if caller else "walkthrough",
            actors=(),
            audience=hop.id,
            scopes=(),
            groups=(),
            token_id=token,
            lineage=lineage,
            transaction=self.txn,
            session="s",
            client="walkthrough",
            chain_started_at=0,
            issued_at=0,
            expires_at=0,
        )

    def _record(self, hop: Hop, data: Request | Exchange | Outcome, span: str) -> None:
        trace = Trace(trace_id=hop.trace, span_id=span)
        event = AuditEvent(schema=1, time=self.now * 1_000_000, service=hop.id, data=data, trace=trace).canonical()
        self._append(hop.id, event)

    def _append(self, service: str, event: bytes) -> None:
        line = line_of(event, self._links.get(service, GENESIS))
        self._links[service] = link_of(line)
        self.entries.append(line)

    # what the reader has

    def answer(self, receipts: list[str] | None = None) -> bytes:
        """The answer, with these receipts in it."""
        value = "~".join(self.receipts() if receipts is None else receipts).encode()
        return self.content.replace(b'"%b":""' % MEMBER.encode(), b'"%b":"%b"' % (MEMBER.encode(), value))

    @property
    def log(self) -> Log:
        """The log with the records of this task; the last leaf has the heads."""
        return Log([*self.entries, self.heads], self.keys)

    @property
    def heads(self) -> bytes:
        """The leaf that ends the log."""
        return heads_leaf(Heads(dict(self._links), self.written * 1_000_000))

    def evidence(self, index: int | None = None) -> Evidence:
        """The proof that the log has the orchestrator's receipt."""
        log = self.log
        index = len(self.entries) - 1 if index is None else index
        hashes = tuple(inclusion_proof(index, len(log.entries), log.node))
        return Evidence(log.entries[index], Proof(index, hashes, log.note(self.witness, at=self.seen)))

    @property
    def policy(self) -> TrustPolicy:
        return policy(f"log {self.keys.public}\nwitness registry {self.witness.public}\nquorum registry\n")

    @property
    def accepted(self) -> Accepted:
        parties = {spiffe_id(name): Party(frozenset({code_of(name)}), frozenset({SCOPES[name]})) for name in SCOPES}
        door = spiffe_id("orchestrator")
        parties[door] = replace(parties[door], clients=frozenset({"walkthrough"}))
        return Accepted(parties, frozenset({"llamastack"}), spiffe_id("authority/audit"))

    def verified(self, answer: bytes | None = None, *, exported: bool = False, **others: Any) -> Proven:
        """What a reader finds who holds all of it; `exported`: the log, too."""
        answer = self.answer() if answer is None else answer
        believed: dict[str, Any] = {
            "authorities": the_ca().bundle,
            "accepted": self.accepted,
            "policy": self.policy,
            "evidence": self.evidence() if "evidence" not in others else None,
            "request": self.request,
            "transaction": self.txn,
            "leaves": [*self.entries, self.heads] if exported else None,
        }
        return verify(answer, **(believed | others))


def _merged(true: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (true | said).items() if value is not None}


def names(proven: Proven) -> Iterator[str]:
    left = [proven.root]
    while left:
        one = left.pop()
        yield one.signer.removeprefix("spiffe://agents.example/")
        left += one.below
