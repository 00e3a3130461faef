"""A log with exchanges in it, as the journals and the issuer tell of them."""

from authorities.audit.reconciliation import Reconciliation
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Alarm, Counts, Data, Exchange, Issued, IssuedToken, Refusal
from zerotrust.audit.forms import MICROSECONDS, sanitize
from zerotrust.audit.record import GENESIS
from zerotrust.authority.ledger.leaf import Heads, heads_leaf

REGISTRY, LEDGER = "spiffe://agents.example/authority/registry", "spiffe://agents.example/authority/audit"
READER, WRITER = "spiffe://agents.example/agent/reader", "spiffe://agents.example/agent/writer"
TOOL = "spiffe://agents.example/tool/documents"
START = 1_795_600_000 * MICROSECONDS


def token(name: str, at: int = 0, client: str = READER) -> IssuedToken:
    return IssuedToken(client=client, token_id=name, time=START + at, audience=sanitize(TOOL), subject=CALLER.subject)


def exchange(name: str | None, *, reason: str = "granted") -> Exchange:
    decision = Decided(allowed=reason == "granted", reason=reason)
    return Exchange(
        audience=TOOL, scopes=("tool.read",), decision=decision, principal=CALLER, parent_token_id="t1", token_id=name
    )


ANYTHING = Refusal(decision=Decided(allowed=False, reason="malformed_body"))


def line(service: str, at: int, data: Data) -> bytes:
    event = AuditEvent(schema=1, time=START + at, service=service, data=data).canonical()
    return b'{"event":%b,"n":1,"prev":"%b"}' % (event, GENESIS.head.encode())


def heads(at: int) -> bytes:
    return heads_leaf(Heads({READER: GENESIS._replace(records=1)}, START + at))


class Log:
    """A log that is compared while it is written, a batch each time."""

    def __init__(self) -> None:
        self.compared, self.leaves = Reconciliation(REGISTRY, LEDGER), list[bytes]()
        self.alarms, self.counts = list[Alarm](), list[Counts]()
        self.add(0, said(0))

    def add(self, at: int, *lines: bytes) -> "Log":
        """Add a batch at that time, in microseconds from the beginning."""
        for leaf in (*lines, heads(at)):
            self.leaves.append(leaf)
            for told in self.compared.take(leaf):
                self.alarms += [told] if isinstance(told, Alarm) else []
                self.counts += [told] if isinstance(told, Counts) else []
        return self

    def idle(self, begin: int, end: int) -> "Log":
        """Nothing happens; the registry says so every five seconds."""
        for at in range(begin, end, 5 * MICROSECONDS):
            self.add(at, said(at))
        return self

    @property
    def causes(self) -> list[tuple[str, str]]:
        return [(alarm.cause, alarm.token_id) for alarm in self.alarms]


def said(until: int, *tokens: IssuedToken, at: int | None = None) -> bytes:
    """What the registry says of the issuer."""
    return line(REGISTRY, until if at is None else at, Issued(until=START + until, tokens=tokens or None))


SECOND = MICROSECONDS
LONG = 120 * SECOND
A, B = (token(name, 60 * SECOND) for name in "ab")
