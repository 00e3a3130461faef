"""TLS 1.3 with SVIDs: who is at the other end is known in the handshake, before a byte passes, and until notAfter.

Keys stay in memory.  Libraries look at a certificate once, in the handshake, and keep the connection: so the object
that every one of them reads and writes with, `ssl.SSLObject`, looks at the clock each time.
"""

import os
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from zerotrust.clock import NonDecreasingClock
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, NOBODY, NotAnSvid, Peer, Svid, named

_clock = NonDecreasingClock(time.time)


class ExpiringTLS(ssl.SSLObject):
    """One connection, void once either end's certificate has ended, or the other's authority is none any more."""

    shown_until = float("inf")
    """When the certificate that this end shows to new connections ends, if it shows one."""
    longest = LONGEST_CERTIFICATE
    """Seconds that the other end's certificate may live: as long as the one that this end shows, if it shows one."""
    authorities: frozenset[bytes] | None = None
    """The trust anchors, where they can change: those of the trust bundle that this process was sent last."""
    anchor: bytes | None = None
    """The one that the other end's certificate leads to, if it showed one."""
    local_not_after = 0.0
    """When the one that this connection shows ends."""
    peer = NOBODY
    """Until the handshake is done, nothing passes."""

    def do_handshake(self) -> None:
        if not self.local_not_after:  # what a connection shows is settled as it begins, whatever is shown to later ones
            self.local_not_after = type(self).shown_until
        super().do_handshake()
        try:
            peer = self._checked(shown := self.getpeercert())
        except NotAnSvid as error:
            raise ssl.SSLCertVerificationError(str(error)) from error
        chain = _verified_chain(self) if shown else []
        if shown and not chain:
            raise ssl.SSLCertVerificationError("a resumed session, whose certificate was not verified again")
        self.anchor = _anchor(chain[-1]) if chain else None
        self._check_authority()  # OpenSSL takes authorities in, and cannot forget any
        self.peer = peer

    def _checked(self, shown: Any) -> Peer:
        if not shown:  # only where the context asks for a certificate and takes none for an answer
            return Peer(None, self.local_not_after)
        name, begin, end = named(shown)
        if end - begin > self.longest:  # whoever has stolen the authority's key cannot issue for long, either
            raise NotAnSvid(f"a certificate of {end - begin:.0f} s, where none may live longer than {self.longest:.0f}")
        return Peer(name, min(self.local_not_after, end))

    def read(self, *arguments: Any) -> Any:
        self._check_void()
        return super().read(*arguments)

    def write(self, data: Any) -> int:
        self._check_void()
        return super().write(data)

    def _check_void(self) -> None:
        self._check_authority()
        if _clock() >= self.peer.until:
            raise ssl.SSLCertVerificationError("a certificate of this connection has ended")

    def _check_authority(self) -> None:
        known = type(self).authorities
        if self.anchor is not None and known is not None and self.anchor not in known:
            raise ssl.SSLCertVerificationError("the other end's certificate is of an authority that was removed")


def server_context(svid: Svid, *, certificate_needed: bool) -> ssl.SSLContext:
    """The context of a server.  Renew it in place with `show`.

    Without `certificate_needed` a caller may come without a certificate; one that it shows has to be good.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, _pem(svid), ExpiringTLS)
    context.verify_mode = ssl.CERT_REQUIRED if certificate_needed else ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would not be checked again
    show(context, svid)
    return context


def client_context(svid: Svid, parties: Mapping[str, str]) -> ssl.SSLContext:
    """The context of calls to `parties` (DNS name to SPIFFE ID): another peer is refused before anything is sent."""
    context = user_context(_pem(svid), parties)
    show(context, svid)
    return context


def user_context(authorities: str, parties: Mapping[str, str]) -> ssl.SSLContext:
    """The same for whoever has no certificate; `authorities` is the trust domain's bundle, in PEM."""

    class Pinned(ExpiringTLS):
        def _checked(self, shown: Any) -> Peer:
            peer = super()._checked(shown)
            if peer.id != parties.get(str(self.server_hostname), "nobody"):
                raise NotAnSvid(f"{self.server_hostname} is {peer.id}, which is not who was called")
            return peer

    return _context(ssl.PROTOCOL_TLS_CLIENT, authorities, Pinned)


def issuer_context(svid: Svid, _parties: Mapping[str, str]) -> ssl.SSLContext:
    """The context of calls to the issuer, which is no workload: known by its DNS name, and by our authority's word."""

    class Issuer(ExpiringTLS):
        def _checked(self, shown: Any) -> Peer:
            return Peer(None, min(self.local_not_after, ssl.cert_time_to_seconds(shown["notAfter"])))

    context = _context(ssl.PROTOCOL_TLS_CLIENT, _pem(svid), Issuer)
    show(context, svid)
    return context


def _pem(svid: Svid) -> str:
    return _as_pem(svid.bundle).decode()


def _as_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _anchor(authority: bytes) -> bytes:
    """A trust anchor is a name and a key (RFC 5280 section 6.1.1 (d)): its certificate may be renewed."""
    certificate = x509.load_der_x509_certificate(authority)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.subject.public_bytes() + certificate.public_key().public_bytes(serialization.Encoding.DER, spki)


def _verified_chain(connection: ssl.SSLObject) -> list[bytes]:
    """The certificates in DER, from the other end's to the trust anchor's."""
    if sys.version_info >= (3, 13):
        return connection.get_verified_chain()
    chain = connection._sslobj.get_verified_chain() or []  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def _context(protocol: int, authorities: str, kind: type[ExpiringTLS]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authorities)
    # A class of this context's own: what it knows of our end is not another context's.
    context.sslobject_class = type(kind.__name__, (kind,), {})
    return context


def trust(context: ssl.SSLContext, svid: Svid) -> None:
    """Hold this context's connections to the authorities of this SVID's bundle, those that are open as well.

    New handshakes take an authority's certificates at once; what hangs on one that is gone can be neither read nor
    written any more (SPIFFE Trust Domain and Bundle section 4.1.4: authorities come and go).
    """
    context.load_verify_locations(cadata=_pem(svid))
    anchors = frozenset(_anchor(authority.public_bytes(serialization.Encoding.DER)) for authority in svid.bundle)
    context.sslobject_class.authorities = anchors  # type: ignore[attr-defined]


def show(context: ssl.SSLContext, svid: Svid) -> None:
    """Show this SVID, and go by its bundle, from now on, in a live context as well.

    In the event loop's thread: certificate and key are taken one after the other.
    """
    key = svid.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = os.memfd_create("svid", os.MFD_CLOEXEC)  # `ssl` takes keys from files only; this one is never on a disk
    try:
        os.write(file, key + _as_pem(svid.chain))
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    trust(context, svid)
    context.sslobject_class.shown_until, context.sslobject_class.longest = svid.not_after, svid.life  # type: ignore[attr-defined]
