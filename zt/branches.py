"""Places the tokens of a task in a tree: each below the one that it came from, whatever others say of it.  Pure.

A record proves what its writer said.  The one who knows a token is the party that it is for: it has verified it.  So
records that say different things of a token have different branches, and who wrote another's is named beside it.
"""

from collections.abc import Callable, Iterable

from rich.text import Text
from rich.tree import Tree

from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller
from zerotrust.identity import MAX_ACTORS
from zt.names import Calls, path_of, short, token_names

Claims = tuple[str, tuple[str, ...], str, tuple[str, ...], str, str]
"""What a record says of a token's way: its id, those before it, the client, who acts, who presents it, and to whom."""


class Branches:
    """The branches of a tree, one for each token and what is said of its way."""

    def __init__(self, tree: Tree, tokens: Iterable[Caller], name: Callable[[Caller], str]) -> None:
        """`tokens`: all that have a branch; `name` names one."""
        self._tree, self._name = tree, name
        self._tokens = {_claims(token): token for token in tokens}
        self._made: dict[Claims, Tree] = {}

    def of(self, token: Caller) -> Tree:
        """Return the branch of a token.

        It is below that of the token that it came from, if there is one of which exactly that is said.  No token that
        is accepted came from more than `MAX_ACTORS`; one that seems to is at the root, so that the tree is not deeper.
        """
        claims = _claims(token)
        if claims not in self._made:
            above = self._tokens.get(_before(token)) if 0 < len(token.lineage) <= MAX_ACTORS else None
            label = Text.assemble((self._name(token), "bold"), f" {short(token.party)} → {short(token.audience)}")
            self._made[claims] = (self.of(above) if above else self._tree).add(label)
        return self._made[claims]


def author(event: AuditEvent, token: Caller) -> Text:
    """Return who wrote a record about a token of another party; nothing, if its own audience did."""
    foreign = event.service != token.audience  # control: foreign-record-named
    return Text(f"  (recorded by {short(event.service)})" if foreign else "", "red")


def first_hand(events: Iterable[AuditEvent]) -> list[Caller]:
    """Return the tokens in the records of the parties that these are for."""
    known = ((event.service, getattr(event.data, "principal", None)) for event in events)
    return [token for service, token in known if token and service == token.audience]


def naming(calls: Calls, events: Iterable[AuditEvent]) -> Callable[[Caller], str]:
    """Return what names the tokens of a task; `calls`: the parties that each party may call.

    Only what the audience of a token says of its way counts for the names of `token_names`.
    """
    names = token_names(calls, first_hand(events))
    return lambda token: names.get((token.token_id, path_of(token))) or level(token)


def level(token: Caller) -> str:
    """Return a token's name by the number of exchanges that led to it: T0, T1, T2."""
    return f"T{len(token.lineage)}"


def _claims(token: Caller) -> Claims:
    # control: branch-as-claimed
    return token.token_id, token.lineage, token.client, token.actors, token.party, token.audience


def _before(token: Caller) -> Claims:
    """Return what is said of the token that it came from: its audience presents this one, and is the latest actor."""
    presented_by = token.actors[1] if len(token.actors) > 1 else token.client
    return token.lineage[-1], token.lineage[:-1], token.client, token.actors[1:], presented_by, token.party
