"""Shows a transaction: the tokens side by side, and the audit trail as a tree.

It uses only the parties' certificates and journals.  It never shows a token; the journals have none.
"""

import asyncio
import datetime as dt
import ssl
from collections.abc import Iterable, Mapping

from cryptography import x509
from rich.console import Console

from authorities.attestation.verifier.measure import digest_of
from demo.revocation_methods import REVOCATION_METHODS
from local.program import console, show
from local.system import HOST, System
from zerotrust.audit.event import MICROSECONDS, AuditEvent, Caller, Request
from zerotrust.spiffe.svid import id_of
from zt.trail import short, trail

# Each token's name in the text, by its presenter and its audience.
NAMES = {
    ("walkthrough", "orchestrator"): "T0",
    ("orchestrator", "agent/reader"): "T1",
    ("agent/reader", "tool/documents"): "T2",
    ("agent/reader", "inference"): "T3",
    ("orchestrator", "agent/writer"): "T1w",
    ("agent/writer", "tool/documents"): "T2w",
    ("agent/writer", "inference"): "T3w",
}


NO = "\N{EN DASH}"
WIDE = 120
"""Columns of a terminal with room for every column."""


async def certificates(system: System) -> dict[str, x509.Certificate]:
    """Return the certificate of each party."""
    context = ssl.create_default_context(cafile=system.authority.ca_file)
    context.check_hostname = False  # they are only shown
    shown = {}
    for name in system.registry.launched:
        _, writer = await asyncio.open_connection(HOST, system.port(name), ssl=context)
        shown[name] = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()
    return shown


def show_parties(system: System, shown: Mapping[str, x509.Certificate]) -> None:
    """Show each party's certificate, and the code digest it was issued for; with the folders, if there is room."""
    rows = []
    for name, certificate in shown.items():
        left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
        code = system.registry.parties[name].code
        digest = f"{digest_of(system.lock.files_of(code))[:8]}…"
        folders = f"  {', '.join(code)}" if console.width >= WIDE else ""
        known_as = system.registry.dns_name(name)
        rows.append((short(id_of(certificate)), known_as, f"{left.total_seconds():.0f} s", digest + folders))
    show(("certificate of", "known as", "left", "approved code"), rows)


def show_delays(took: Mapping[str, Mapping[str, float]]) -> None:
    """Show how long each service still accepted calls after each revocation was acknowledged."""
    services = list(dict.fromkeys(name for each in took.values() for name in each))
    rows = [
        (REVOCATION_METHODS[method].called, *(f"{each[s] * 1e3:.0f} ms" if s in each else NO for s in services))
        for method, each in took.items()
    ]
    caption = f"From acknowledgement to first refusal.  {NO}: no caller of it is revoked."
    show(("revoked by", *services), rows, right=True, caption=caption, caption_justify="left")


def tokens_of(events: Iterable[AuditEvent]) -> dict[str, Caller]:
    """Return the tokens of one transaction by their names in the text, each as its verifier recorded it."""
    found: dict[str, Caller] = {}
    for event in events:
        if isinstance(event.data, Request) and (token := event.data.principal):
            found.setdefault(NAMES[short(token.party), short(token.audience)], token)
    return {name: found[name] for name in NAMES.values() if name in found}


def show_tokens(tokens: dict[str, Caller]) -> None:
    """Show the tokens side by side, and the rights that each has lost from the one before."""
    by_id = {token.token_id: token for token in tokens.values()}
    rows = [
        (
            f"[bold]{name}[/bold]",
            f"sub {token.subject[:8]}…\nazp {short(token.party)}\naud {short(token.audience)}",
            "\n".join(token.scopes),
            "\n".join(short(actor) for actor in token.actors) or "nobody",
            f"{(token.expires_at - token.issued_at) // MICROSECONDS} s",
            _lost(token, by_id.get(token.lineage[-1]) if token.lineage else None),
        )
        for name, token in tokens.items()
    ]
    show(("", "who", "scope", "act", "life", "gone since"), rows, show_lines=True)


def _lost(token: Caller, parent: Caller | None) -> str:
    if parent is None:
        return ""
    gone = sorted(set(parent.scopes) - set(token.scopes))
    return "\n".join([*gone, "any other door"])


def show_trail(console: Console, events: Iterable[AuditEvent]) -> None:
    """Show the audit trail of one transaction, as `zt audit show` does, with each token's name in the text."""
    console.print(trail(events, name=lambda token: NAMES[short(token.party), short(token.audience)]))
