"""A log of journals in memory, and exports of it."""

from evidence.export import export_lines
from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided, Trace
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import Text
from zerotrust.audit.record import GENESIS, Link, hash_of
from zerotrust.authority.ledger.leaf import Heads, heads_leaf
from zerotrust.tlog.note import ED25519
from zerotrust.tlog.quorum import TrustPolicy, policy

START = 1_795_600_000_000_000
SERVICES = ("spiffe://agents.example/orchestrator", "spiffe://agents.example/tool/documents")


class Ledger:
    """Journals, and the log with their records; each batch ends with the heads."""

    def __init__(self, *witnesses: Keys, keys: Keys | None = None) -> None:
        self.log, self.witnesses = Log(keys=keys or Keys(ORIGIN, ED25519)), witnesses or (witness("registry"),)
        self.heads: dict[str, Link] = {}
        self.journals: dict[str, list[bytes]] = {}

    def record(self, service: str, operation: str = "GET /health") -> bytes:
        """Return the next line of a journal."""
        link = self.heads.get(service, GENESIS)
        line = record(service, link, operation)
        self.heads[service] = Link(link.records + 1, hash_of(line))
        self.journals.setdefault(service, []).append(line)
        return line

    def batch(self, *services: str) -> None:
        """Append a record of each of these, and the heads."""
        self.log.grow(*map(self.record, services), self.heads_leaf)

    @property
    def heads_leaf(self) -> bytes:
        return heads_leaf(Heads(dict(self.heads), START + len(self.log.entries)))

    @property
    def policy(self) -> TrustPolicy:
        return policy(self.policy_text)

    @property
    def policy_text(self) -> str:
        keys = "".join(f"witness {one.public.name} {one.public}\n" for one in self.witnesses)
        return f"log {self.log.keys.public}\n{keys}quorum {self.witnesses[0].public.name}\n"

    def export(self) -> bytes:
        return b"".join(export_lines(self.log.note(*self.witnesses), self.log.files.__getitem__))


def record(service: str, link: Link, operation: str = "GET /health", number: int | None = None) -> bytes:
    data = Request(operation=Text(operation), decision=Decided(allowed=True, reason="granted"))
    trace = Trace(trace_id=f"{link.records:032x}", span_id=f"{link.records:016x}")
    event = AuditEvent(schema=1, time=START + link.records, service=service, data=data, trace=trace)
    count = number or link.records + 1
    return b'{"event":%b,"n":%d,"prev":"%b"}' % (event.canonical(), count, link.head.encode())


def small(batches: int = 6) -> Ledger:
    """A log of some batches: every service, and now and then one alone."""
    ledger = Ledger()
    for number in range(batches):
        ledger.batch(*SERVICES, *SERVICES[: number % 2])
    return ledger
