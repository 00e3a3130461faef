"""An authority in an attacked system, at whose door operators work; and its feed, as somebody else would write it."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.attack import Attempt, Target, Tries
from tests.support.ca import NO_CERTIFICATE, workload
from tests.support.feed import following, line
from zerotrust.decision import Reason
from zerotrust.registry.topics import LineKind
from zerotrust.revocation import Gap
from zerotrust.revocation_list import Revocable
from zerotrust.spiffe.statement import InvalidStatement
from zerotrust.spiffe.svid import Svid


class Operated(Target):
    """The system with one of its authorities."""

    authority: str
    client: str
    """By which operators sign in for it."""
    rule: str = "operator"
    """How the names of the controls begin that its policy for operators has."""

    def operating(self, **changed: Any) -> str:
        """An operator's token for the authority."""
        good: dict[str, Any] = {"azp": self.client, "sub": "olga", "groups": ["/operators"]}
        return self.token(self.authority, **(good | changed))

    async def by_no_operator(self, thief: str = "agent/writer", **door: Any) -> Tries:
        """Ask at a door in each way in which somebody is no operator, or not in person; `thief`: who has a token."""
        delegated = self.issuer.chain("orchestrator", "agent/writer") | {"sub": "olga", "groups": ["/operators"]}
        policy_denied, peer = Reason.POLICY_DENIED, workload(thief)
        for token, who, reason, by in (
            (self.operating(**delegated), None, policy_denied, f"{self.rule}-in-person"),
            (self.operating(sub="alice", groups=["/engineering"]), None, policy_denied, f"{self.rule}-in-group"),
            (self.operating(azp="walkthrough"), None, Reason.ACTOR_MISSING, "row 72: actor-required"),
            (self.operating(), peer, Reason.NOT_BOUND, "azp-is-peer"),
            (None, peer, Reason.NO_TOKEN, "row 1: gate-admits"),
            (None, NO_CERTIFICATE, Reason.NO_TOKEN, "row 1: gate-admits"),
        ):
            yield await self.send(self.authority, token, **door, peer=who, reason=reason, by=by)


def on_the_feed(
    target: Target, known: Mapping[Revocable, str], lines: Iterable[tuple[Svid, LineKind, bytes, str]]
) -> list[Attempt]:
    """Bring each line to a party that has heard change 7: who signs it, its kind and content, and what stops it."""
    tries = []
    for signer, kind, payload, by in lines:
        feed = following(target.system.snapshot, 7, known)
        heard, before = True, feed._registry.document
        try:
            feed._take(line(kind, payload, signer))
        except (InvalidStatement, Gap):
            heard = False
        gained = heard and (feed.revocations.revoked != known or feed._registry.document is not before)
        tries.append(Attempt("heard" if heard else "not heard", gained).stopped_by(by))
    return tries
