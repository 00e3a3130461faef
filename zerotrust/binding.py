"""Binds a call to who makes it: its connection has a valid certificate, and its token was issued to that party.  Pure.

So a stolen token is of no use to another party, as with RFC 8705, though without its claim: `azp` names the holder.
"""

from zerotrust.decision import Denied, Reason
from zerotrust.identity import Principal
from zerotrust.spiffe.svid import Peer
from zerotrust.token_validation import Expected


def check_peer(peer: Peer, expected: Expected, now: float) -> None:
    """Repeat for a request what TLS checks once, in the handshake; `now`: seconds since the epoch.  Raises `Denied`."""
    if peer.until <= now:  # control: certificate-not-ended
        raise Denied(Reason.CERTIFICATE_ENDED)
    if peer.id is None and not expected.without_certificate:  # control: certificate-required
        raise Denied(Reason.NO_CERTIFICATE)
    if peer.id is not None and peer.id not in expected.peers:  # control: peer-registered
        raise Denied(Reason.UNKNOWN_PEER, peer.id)


def check_holder(principal: Principal, peer: Peer, expected: Expected) -> None:
    """Check that the party which the token was issued to (`azp`) presents it.  Raises `Denied`.

    A client that is named by a client ID has no certificate: its token is valid only on a connection without one.
    """
    # control: certificate-before-public-client
    holder = peer.id or (principal.party if principal.party in expected.without_certificate else None)
    if principal.party != holder:  # control: azp-is-peer
        presenter = peer.id or "a caller without a certificate"
        raise Denied(Reason.NOT_BOUND, f"issued to {principal.party}, presented by {presenter}")
