"""Makes TLS 1.3 with SVIDs: the handshake identifies the peer before any data, and the connection ends at notAfter.

Keys stay in memory.  Libraries check a certificate once, in the handshake, and keep the connection.  So the code that
opens a connection lets `ExpiringTLS.watch` abort it, and reads nothing before.  Two clocks count its time: the
monotonic clock, because the machine's can be set back; and the machine's, because the monotonic one stops while the
machine is suspended.  After a suspension the connection ends within `LOOK` seconds, and until then the gate, which
reads the clock for each request (`checks.py`), lets none pass.
"""

import asyncio
import hashlib
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from zerotrust.clock import NonDecreasingClock
from zerotrust.spiffe.records import CountingTLS
from zerotrust.spiffe.svid import LONGEST_CERTIFICATE, NO_PEER, NotAnSvid, Peer, Svid, id_and_validity

LOOK = 1
"""Seconds between two looks at the machine's clock.  A client can read an ended peer this long after a suspension."""

_clock = NonDecreasingClock(time.time)


class ExpiringTLS(CountingTLS):
    """One connection, aborted once either certificate has expired, or the peer's authority was removed."""

    watched: ClassVar[dict["ExpiringTLS", Callable[[], None]]]
    """The function that aborts, for each open connection of the same context."""
    svid_not_after = float("inf")
    """When this end's certificate for new connections expires, if it has one."""
    longest = LONGEST_CERTIFICATE
    """The longest lifetime of the peer's certificate in seconds: that of this end's certificate, if it has one."""
    authorities: frozenset[bytes] | None = None
    """The trust anchors, if they can change: those of the latest trust bundle of this process."""
    anchor: bytes | None = None
    """The trust anchor of the peer's certificate, if it showed one."""
    local_not_after = 0.0
    """When the certificate of this end on this connection expires."""
    peer = NO_PEER
    """The peer.  Before the handshake it has no identity, and the connection counts as expired."""
    _due: asyncio.TimerHandle | None = None

    def do_handshake(self) -> None:
        if not self.local_not_after:  # a handshake uses the certificate at its start
            self.local_not_after = type(self).svid_not_after
        super().do_handshake()
        try:
            peer = self._peer_of(shown := self.getpeercert())
        except NotAnSvid as error:
            raise ssl.SSLCertVerificationError(str(error)) from error
        chain = _verified_chain(self) if shown else []
        if shown and not chain:  # control: session-not-resumed
            raise ssl.SSLCertVerificationError("a resumed session, whose certificate was not verified again")
        self.anchor = _anchor(x509.load_der_x509_certificate(chain[-1])) if chain else None
        if not self.trusted:  # OpenSSL can add authorities, but cannot remove any
            raise ssl.SSLCertVerificationError("the authority of the peer's certificate was removed")
        self.peer = peer

    def _peer_of(self, shown: Any) -> Peer:
        if not shown:  # only in a context where the peer's certificate is optional
            return Peer(None, self.local_not_after)
        name, begin, end = id_and_validity(shown)
        # control: certificate-lifetime
        if end - begin > self.longest:  # this limits the use of a stolen authority key
            raise NotAnSvid(f"a certificate of {end - begin:.0f} s; the longest allowed is {self.longest:.0f} s")
        dns_names = (value for kind, value in shown["subjectAltName"] if kind == "DNS")
        return Peer(name, min(self.local_not_after, end), (*dns_names,))

    def read(self, *arguments: Any) -> Any:
        got = super().read(*arguments)
        if got and self not in self.watched:  # not before: an event loop reads once, for no data, before one can watch
            raise ssl.SSLError("data on a connection whose end is not watched")
        return got

    def watch(self, abort: Callable[[], None]) -> Peer:
        """Return the peer.  Until `unwatch`, call `abort` as soon as the connection may not be used any more."""
        self.watched[self] = abort
        self._end = asyncio.get_running_loop().time() + self.peer.until - _clock()
        self._look()
        return self.peer

    def unwatch(self) -> None:
        """Stop watching a closed connection, so that nothing keeps it in memory."""
        self.watched.pop(self, None)
        if self._due:
            self._due.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left = min(self._end - loop.time(), self.peer.until - _clock())
        if left > 0 and self.trusted:  # control: connection-ends-with-certificate
            self._due = loop.call_later(min(left, LOOK), self._look)
        else:
            self.watched[self]()

    @property
    def trusted(self) -> bool:
        """Whether the authority of the peer's certificate is trusted now; true if the peer showed none."""
        return self.anchor is None or self.authorities is None or self.anchor in self.authorities


def server_context(svid: Svid, *, certificate_needed: bool) -> ssl.SSLContext:
    """Return the context of a server.  Renew it in place with `use_svid`.

    Without `certificate_needed`, a caller may show no certificate; one that it shows has to be valid.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, _pem(svid.bundle), ExpiringTLS)
    context.verify_mode = ssl.CERT_REQUIRED if certificate_needed else ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a resumed session would not be checked again  # control: no-tls-tickets
    use_svid(context, svid)
    return context


def client_context(svid: Svid, parties: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context for calls to `parties` (DNS name to SPIFFE ID): another peer fails the handshake."""
    context = user_context(_pem(svid.bundle), parties)
    use_svid(context, svid)
    return context


def user_context(authorities: str, parties: Mapping[str, str]) -> ssl.SSLContext:
    """Return that context for a caller without a certificate; `authorities` is the trust domain's bundle, in PEM."""

    class Pinned(ExpiringTLS):
        def _peer_of(self, shown: Any) -> Peer:
            peer = super()._peer_of(shown)
            if peer.id != parties.get(str(self.server_hostname), "unknown"):  # control: server-is-who-was-called
                raise NotAnSvid(f"{self.server_hostname} is {peer.id}, which is not the party that was called")
            return peer

    return _context(ssl.PROTOCOL_TLS_CLIENT, authorities, Pinned)


def issuer_context(svid: Svid, _parties: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context for calls to the issuer, a server without a SPIFFE ID: its certificate has its DNS name.

    A party may have further DNS names (`Registry.dns_names`), and is refused whatever they are.
    """

    class Issuer(ExpiringTLS):
        def _peer_of(self, shown: Any) -> Peer:
            if any(kind == "URI" for kind, _ in shown["subjectAltName"]):  # control: issuer-is-no-party
                raise NotAnSvid("the certificate of a party, and not of the issuer")
            return Peer(None, min(self.local_not_after, ssl.cert_time_to_seconds(shown["notAfter"])))

    context = _context(ssl.PROTOCOL_TLS_CLIENT, _pem(svid.bundle), Issuer)
    use_svid(context, svid)
    return context


def outside_context(spki_sha256: str) -> ssl.SSLContext:
    """Return the context for calls to a server outside the trust domain, whose key has this SHA-256, in hex.

    Only the pin identifies the server, and no authority.  The context shows it no certificate.
    """

    class Outside(ExpiringTLS):
        def _peer_of(self, shown: Any) -> Peer:  # noqa: ARG002 - what was verified: nothing, for the pin is all
            certificate = x509.load_der_x509_certificate(self.getpeercert(binary_form=True) or b"")
            if hashlib.sha256(_spki(certificate)).hexdigest() != spki_sha256:  # control: outside-key-pinned
                raise NotAnSvid("the server's key is not the key that the registry knows")
            if not certificate.not_valid_before_utc.timestamp() <= _clock():
                raise NotAnSvid("the server's certificate is not valid yet")
            return Peer(None, certificate.not_valid_after_utc.timestamp())

    context = _context(ssl.PROTOCOL_TLS_CLIENT, None, Outside)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _pem(certificates: Iterable[x509.Certificate]) -> str:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates).decode()


def _anchor(authority: x509.Certificate) -> bytes:
    """Return an authority's name and key, which make the trust anchor (RFC 5280 section 6.1.1 (d)).

    Its certificate may be renewed.
    """
    return authority.subject.public_bytes() + _spki(authority)


def _spki(certificate: x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.DER, form)


def _verified_chain(connection: ssl.SSLObject) -> list[bytes]:
    """Return the certificates in DER, from the peer's to the trust anchor's."""
    if sys.version_info >= (3, 13):
        return connection.get_verified_chain()
    chain = connection._sslobj.get_verified_chain() or []  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def _context(protocol: int, authorities: str | None, kind: type[ExpiringTLS]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # control: tls-1-3
    if authorities:
        context.load_verify_locations(cadata=authorities)
    # This context gets its own class, whose attributes must not affect another context.
    context.sslobject_class = type(kind.__name__, (kind,), {"watched": {}})
    return context


def trust(context: ssl.SSLContext, svid: Svid) -> None:
    """Trust the authorities of this SVID's bundle only, on new and open connections of this context.

    A new authority is trusted from the next handshake on.  An open connection whose authority was removed is aborted
    (SPIFFE Trust Domain and Bundle section 4.1.4: authorities change).
    """
    context.load_verify_locations(cadata=_pem(svid.bundle))
    kind: Any = context.sslobject_class
    kind.authorities = frozenset(map(_anchor, svid.bundle))
    for connection, abort in [*kind.watched.items()]:
        if not connection.trusted:
            abort()


def use_svid(context: ssl.SSLContext, svid: Svid) -> None:
    """Use this SVID and its bundle from now on; the context may be in use.

    Call it in the event loop's thread, because certificate and key are replaced one after the other.
    """
    key = svid.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # control: key-never-on-disk
    file = os.memfd_create("svid", os.MFD_CLOEXEC)  # `ssl` reads keys from files only; this one is never on a disk
    try:
        os.write(file, key + _pem(svid.chain).encode())
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    trust(context, svid)
    kind: Any = context.sslobject_class
    kind.svid_not_after, kind.longest = svid.not_after, svid.life
