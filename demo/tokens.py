"""Shows the tokens of a task: their names (T0, T1 and so on), each exchange, and one chain side by side.

It uses the journals only, in which each receiver has recorded the claims that it verified, and never a token.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from demo.parts import NO, begin
from demo.who import name_of
from start.program import console, paragraph, show
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.audit.event_types import Exchange, Request
from zerotrust.audit.forms import MICROSECONDS
from zerotrust.authority.names import short, token_name
from zerotrust.registry.model import Registry


def tokens_of(registry: Registry, events: Iterable[AuditEvent]) -> dict[str, Caller]:
    """Return the tokens of one task by their names in the texts, T0 first; each as its verifier recorded it."""
    calls, found = {name: party.may_call for name, party in registry.parties.items()}, dict[str, Caller]()
    for event in sorted(events, key=lambda one: one.time):
        if isinstance(event.data, Request) and (token := event.data.principal):
            found.setdefault(token_name(calls, token), token)
    agents = calls["orchestrator"]

    def place(named: tuple[str, Caller]) -> tuple[bool, int, str]:
        name, token = named
        agent = short(token.actors[-2] if len(token.actors) > 1 else token.audience)
        return name != "T0", agents.index(agent) if agent in agents else len(agents), name

    return dict(sorted(found.items(), key=place))


def show_exchanges(registry: Registry, events: Sequence[AuditEvent]) -> None:
    """Show one chain of tokens: the exchanges, and what each token says; then all tokens of the task."""
    begin(
        "The token exchange",
        "No party passes a token on. Each exchanges the token that it received for one for the next hop (RFC 8693): "
        "the same user, one audience, fewer scopes, a shorter lifetime, and one more actor.",
    )
    tokens = tokens_of(registry, events)
    chain = longest_chain(tokens)
    asked = {e.data.token_id: e.data for e in events if isinstance(e.data, Exchange) and e.data.token_id}
    for (before, parent), (name, token) in pairwise(chain.items()):
        if exchange := asked.get(token.token_id):
            console.print(_exchange_table(registry, f"{before} → {name}", parent, token, exchange))
    console.print()
    paragraph("These tokens, decoded. A dropped value is struck through and marked by -, a new value is marked by +.")
    console.print(claims_table(chain))
    paragraph(
        "All tokens of the task. Only the party on the left can use a token: T0 needs a proof by the client's key, and "
        "every other one the party's certificate. Only the party on the right accepts it."
    )
    rows = [
        (Text(name, "bold"), f"{short(token.party)} → {short(token.audience)}", ", ".join(token.scopes), _life(token))
        for name, token in tokens.items()
    ]
    outside = list(dict.fromkeys(_outside_tokens(registry, events)))
    show(("", "from → for", "scope", "lifetime"), [*rows, *((Text(NO, "bold"), *row) for row in outside)])
    if outside:
        paragraph(
            f"{NO} These are bearer tokens: a server outside checks their audience and scope, and not who sends them. "
            "So they have the shortest lifetime, and only the party on the left gets them."
        )


def _outside_tokens(registry: Registry, events: Iterable[AuditEvent]) -> Iterator[tuple[str, str, str]]:
    """Yield the tokens for servers outside, which keep no journal: as who got them has recorded it."""
    for event in events:
        data = event.data
        if isinstance(data, Exchange) and data.decision.allowed and data.audience in registry.outside:
            party = short(event.service)
            life = f"{registry.parties[party].max_ttl} s at most"
            yield f"{party} → {data.audience}", ", ".join(data.scopes), life


def longest_chain(tokens: Mapping[str, Caller]) -> dict[str, Caller]:
    """Return T0, T1 and T2 of the first way that has all of them, or as many as there are."""
    last = next((token for token in tokens.values() if len(token.lineage) == 2), None)
    wanted = (*last.lineage, last.token_id) if last else [token.token_id for token in tokens.values()][:1]
    return {name: token for name, token in tokens.items() if token.token_id in wanted}


def _exchange_table(registry: Registry, title: str, parent: Caller, token: Caller, asked: Exchange) -> Table:
    """Return the parameters of one exchange, as the party that made it has recorded them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    party = short(token.party)
    table.add_row(Text(title, "bold"), f"{party} asks Keycloak")
    table.add_row("  subject_token", f"the token that {short(parent.party)} presented to it")
    table.add_row("  audience", short(asked.audience))
    table.add_row("  scope", " ".join(asked.scopes))
    if asked.department:
        table.add_row("  requested_department", asked.department)
    if asked.lifetime:
        most = registry.parties[party].max_ttl
        why = f"{asked.lifetime // MICROSECONDS}  (a shorter lifetime: {party} could have had {most} s)"
        table.add_row("  requested_lifetime", Text(why, "cyan"))
    return table


CLAIMS = ("issued to (azp)", "only for (aud)", "user (sub)", "actors (act)", "scope", "groups", "lifetime", "id (jti)")
"""The fields of a token that are shown."""


def claims_table(chain: Mapping[str, Caller], claims: Sequence[str] = CLAIMS) -> Table:
    """Return a table of these claims of the tokens of one chain, each compared to the token before."""
    table = Table(padding=(0, 1, 0, 0), pad_edge=False, box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for name in chain:
        table.add_column(f" {name}")
    parents: list[Caller | None] = [None, *chain.values()]
    scopes = sorted({scope for token in chain.values() for scope in token.scopes})
    columns = [_claim_texts(parent, token, scopes) for parent, token in zip(parents, chain.values(), strict=False)]
    for claim in claims:
        table.add_row(claim, *(column[claim] for column in columns))
    return table


def _claim_texts(parent: Caller | None, token: Caller, scopes: Sequence[str]) -> dict[str, Text]:
    """Return what a token says, by claim, compared to the one before; each of all `scopes` has a line of its own."""
    actors = [_plain(actor) if parent and actor in parent.actors else _plus(actor) for actor in token.actors]
    before = parent.scopes if parent else ()
    lines = [
        [_plain(token.party)],
        [_plain(token.audience)],
        [_plain(name_of(token.subject))],
        actors or [_plain(NO)],
        [_plain(s) if s in token.scopes else _minus(s) if s in before else Text() for s in scopes],
        [_plain(group) for group in token.groups],
        [_plain(_life(token))],
        [_plain(f"{token.token_id.rpartition(':')[2][:8]}…")],  # without the letters that say how it was issued
    ]
    return {claim: Text("\n").join(each) for claim, each in zip(CLAIMS, lines, strict=True)}


def _plain(text: str) -> Text:
    return Text(f" {short(text)}")


def _minus(text: str) -> Text:
    return Text.assemble(("-", "red"), (text, "red strike"))


def _plus(text: str) -> Text:
    return Text(f"+{short(text)}", "green")


def _life(token: Caller) -> str:
    return f"{(token.expires_at - token.issued_at) // MICROSECONDS} s"
