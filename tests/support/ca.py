"""The authority that all tests share, and who is at the other end of a connection.

ca.svid("agent/reader")              # good
ca.svid("agent/reader", age=200)     # ended
CA().svid("agent/reader")            # of another authority
"""

import contextlib
from functools import cache
from typing import Any

import jwt

from testkit import ca
from testkit.ca import LONG
from testkit.wire import FOREVER
from zerotrust.spiffe.svid import Peer

__all__ = ["FOREVER", "LONG"]

TRUST_DOMAIN = "agents.example"
REGISTRY_PARTY, ATTESTATION_PARTY = "authority/registry", "authority/attestation"


class CA(ca.CA):
    """An authority of the trust domain of the committed registry."""

    def __init__(self, trust_domain: str = TRUST_DOMAIN, **how: Any) -> None:
        super().__init__(trust_domain, **how)


@cache
def the_ca() -> CA:
    """The one that the in-process systems of all tests share."""
    return CA()


def holder(token: str | None, *, at: str) -> Peer:
    """Who would present this token: whom it was issued to; without a token, whoever may knock at the party `at`."""
    party = "walkthrough" if at in _FOR_USERS else f"spiffe://{TRUST_DOMAIN}/orchestrator"
    if token:
        with contextlib.suppress(jwt.InvalidTokenError, ValueError, RecursionError):
            party = str(jwt.decode(token, options={"verify_signature": False}).get("azp"))
    return Peer(party if party.startswith("spiffe://") else None, FOREVER)


def workload(party: str) -> Peer:
    """That party at the other end of a connection; attestation as the verifier of a node."""
    return verifier("local") if party == "authority/attestation" else Peer(f"spiffe://{TRUST_DOMAIN}/{party}", FOREVER)


def verifier(*nodes: str) -> Peer:
    """The verifier whose certificate names these nodes."""
    name = f"attestation.authority.{TRUST_DOMAIN}"
    names = name, *(f"{node}.{name}" for node in nodes)
    return Peer(f"spiffe://{TRUST_DOMAIN}/authority/attestation", FOREVER, names)


NO_CERTIFICATE = Peer(None, FOREVER)
"""Somebody who shows none."""


_FOR_USERS = ("orchestrator", "authority/registry")
