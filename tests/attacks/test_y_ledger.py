"""Y. The ledger itself: a second history of its log, files that were changed, and an index that lies."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from authorities.audit.cosigning import MAX_COSIGNED, Cosigners
from authorities.audit.external_witnesses import MOST_OTHERS, ExternalWitness
from authorities.audit.index import Index
from authorities.audit.log import Log, LogError, OtherHistory
from authorities.audit.terms import Term, record_term, terms_of
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.issuer import Issuer
from tests.support.ledger import ADDRESS, SERVICE, Registry, grow, lines, opened
from tests.support.tlog import ORIGIN, Keys, witness
from tests.support.tlog import Log as Made
from zerotrust.authority.ledger.cosignature import NotCosigned, Request, parse_request
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.authority.log.tiles import Edge as Nothing
from zerotrust.authority.log.tiles import append_entries, decode_bundle
from zerotrust.service import Service
from zerotrust.tlog.checkpoint import cosign_checkpoint
from zerotrust.tlog.note import ED25519

OTHER = "spiffe://agents.example/inference"


@dataclass
class Ledger(Scene):
    """A ledger's folder, and the registry that cosigns."""

    folder: Path
    registry: Registry

    @property
    def now(self) -> Path:
        return self.folder / "now"

    async def begun(self) -> None:
        """The log has five lines, and nobody writes it."""
        log = await opened(self.now, self.registry)
        await grow(log, 5)
        await log.close()

    def copied(self) -> Path:
        shutil.copytree(self.now, copy := self.folder / "copy")
        return copy


@asynccontextmanager
async def ledger(folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Ledger]:
    (folder / "registry").mkdir()
    found = Ledger(folder, Registry(folder / "registry"))
    await found.begun()
    yield found


async def published(folder: Path, registry: Registry, service: str, count: int = 1) -> Attempt:
    """What becomes of further lines in this folder."""
    try:
        log = await opened(folder, registry)
    except LogError as error:
        return told(error)
    return await more(log, service, count)


async def more(log: Log, service: str, count: int = 1) -> Attempt:
    try:
        await grow(log, count, service)
    except LogError as error:
        return told(error)
    finally:
        await log.close()
    return Attempt("published", succeeded=True)


def told(error: LogError) -> Attempt:
    return Attempt(type(error).__name__, succeeded=False, recorded=(type(error).__name__,))


@attack(310, ledger)
async def test_a_backup_of_the_ledger(ledger: Ledger) -> Tries:
    """It is put back, and goes on where it was: what was published since then would be gone."""
    copy = ledger.copied()
    log = await opened(ledger.now, ledger.registry)
    await grow(log, 3)
    await log.close()

    attempt = await published(copy, ledger.registry, OTHER)
    assert attempt.succeeded or attempt.told == OtherHistory.__name__
    yield attempt


@attack(311, ledger)
async def test_a_second_ledger_on_a_copy(ledger: Ledger) -> Tries:
    """Both run, with the same key; each has lines that the other does not have."""
    copy = await opened(ledger.copied(), ledger.registry)
    log = await opened(ledger.now, ledger.registry)
    await grow(log, 3)
    await log.close()

    attempt = await more(copy, OTHER, 3)
    assert attempt.succeeded or attempt.told == OtherHistory.__name__
    yield attempt


@attack(312, ledger)
async def test_a_log_of_ones_own_is_offered_to_the_registry(ledger: Ledger) -> Tries:
    """Whoever has the ledger's certificate, and not its key, goes on with its log under a key of their own."""
    log = await opened(ledger.now, ledger.registry)
    entries = decode_bundle(log.read(f"tile/entries/000.p/{log.size}"), log.size)
    await log.close()
    own = Made([*entries, b"mine"], Keys(ORIGIN, ED25519, "mine"))
    proof = consistency_proof(len(entries), len(own.entries), own.node)
    request = str(Request(len(entries), tuple(proof), own.note())).encode()
    try:
        await ledger.registry.witness.cosign(request, str(own.keys.public))
    except NotCosigned as refusal:
        yield Attempt(f"{refusal.status}", succeeded=False, recorded=(f"{refusal.status}",), reason="403")
    else:
        yield Attempt("cosigned", succeeded=True)


@attack(313, ledger)
async def test_the_end_of_the_log_is_rewritten(ledger: Ledger) -> Tries:
    """Whoever owns the ledger's disk changes a record there, with every hash in the files that depends on it."""
    some, heads = lines({}, 5, OTHER)
    _, files = append_entries(Nothing(), [*some, heads_leaf(Heads(heads, 1))])
    for name, content in files.items():
        assert (ledger.now / "log" / name).exists()
        (ledger.now / "log" / name).write_bytes(content)

    yield await published(ledger.now, ledger.registry, SERVICE)


@attack(314, ledger)
async def test_whoever_owns_the_database_leads_to_another_record(ledger: Ledger) -> Tries:
    """What is asked for is one line; the index says that it is another one."""
    log = await opened(ledger.now, ledger.registry)
    index = Index(ledger.folder / "index.db", log)
    await index.follow()
    with closing(sqlite3.connect(ledger.folder / "index.db")) as database, database:
        database.execute("UPDATE leaves SET leaf = 3 WHERE kind = 'record' AND value LIKE '% 1'")
    asked: Term = record_term(SERVICE, 1)
    [leaf] = await index.find(asked)
    found = asked in terms_of(await index.entry(leaf))
    await index.close()
    await log.close()
    yield Attempt("the right record" if found else "another record", succeeded=not found)


@attack(386, ledger)
async def test_witnesses_that_answer_their_cosignature_again_and_again(ledger: Ledger) -> Tries:
    """Each answers its own, which is valid, as often as an answer has room: no reader takes a note with all of them."""
    keys = {f"w{number}.example": witness(f"w{number}") for number in range(MOST_OTHERS)}

    def answered(asked: httpx.Request) -> httpx.Response:
        own, text = keys[asked.url.host], parse_request(asked.content).checkpoint.text
        line = str(cosign_checkpoint(text, own.public, own.private, 1)).encode()
        return httpx.Response(200, content=line * (MAX_COSIGNED // len(line)))

    others = [ExternalWitness(f"http://{host}", own.public) for host, own in keys.items()]
    wire = httpx.AsyncClient(transport=httpx.MockTransport(answered))
    cosign = Cosigners(ADDRESS, http=ledger.registry.http, others=lambda: others, others_http=wire)
    log = await Log.open(ledger.now, ORIGIN, cosign)
    await log.finish()
    if (attempt := await more(log, SERVICE)).succeeded:  # and the ledger starts again
        attempt = await published(ledger.now, ledger.registry, SERVICE)
    yield Attempt("the log goes on" if attempt.succeeded else attempt.told, succeeded=not attempt.succeeded)
