"""Makes callers without a token, and lists the calls that the registry allows, for policy questions.  Pure."""

from collections.abc import Iterable, Iterator

from zerotrust.identity import Principal
from zerotrust.registry.model import Registry


def caller(
    party: str,
    *,
    subject: str = "anybody",
    actors: tuple[str, ...] = (),
    scopes: Iterable[str] = (),
    groups: Iterable[str] = (),
) -> Principal:
    """Return the principal that a verified token of such a caller would give.  Only the policies may be asked with it.

    `party`: the identifier of the caller; `actors`: the parties that act for the user, the current one first.
    """
    return Principal(
        subject=subject,
        party=party,
        actors=actors,
        audience="",
        scopes=frozenset(scopes),
        groups=frozenset(groups),
        token_id="",
        lineage=(),
        client="",
        chain_started_at=0,
        session="",
        issued_at=0,
        expires_at=0,
        token="",
    )


def calls(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """Yield the names of caller, scope and callee of every call that the registry allows.

    A server outside is no callee here: the policies do not decide there.
    """
    for name, party in registry.parties.items():
        for scope in party.delegates:
            for callee in registry.scopes[scope].served_by:
                if callee in party.may_call and callee in registry.parties:
                    yield name, scope, callee
