"""Shows who takes part: people, parties and authorities; as the registry has them, and by their certificates."""

import asyncio
import datetime as dt
import ssl

from cryptography import x509

from demo.checks import Checks
from demo.parts import NO, begin
from registration.realm.users import USERS
from start.program import paragraph, show
from start.system import HOST, System
from zerotrust.authority.names import short
from zerotrust.registry.model import Registry
from zerotrust.spiffe.svid import id_of

PEOPLE = {
    "alice": "asks for the task",
    "bob": "of another department",
    "dana": "of both departments: her tasks have to name one",
    "eve": "of no department, and may do nothing",
    "olga": "an operator: suspends, revokes, reinstates",
}


def name_of(subject: str) -> str:
    """Return the name of a user, or the id itself if no user here has it."""
    return next((name for name, (identifier, _) in USERS.items() if identifier == subject), subject)


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


def show_who_is_who(registry: Registry) -> None:
    """Show people, parties and authorities."""
    begin("Who is who", "The people, the programs that work for them, and the authorities that decide who may do what.")
    people = [(name, ", ".join(groups) or NO, PEOPLE.get(name, "")) for name, (_, groups) in USERS.items()]
    show(("person", "groups", "role"), people)
    rows = [
        (name, ", ".join(registry.scopes_at(name)) or NO, ", ".join(party.may_call) or NO)
        for name, party in registry.parties.items()
    ]
    show(("party", "scopes that open its API", "may call"), rows)
    authorities = registry.authorities
    paragraph(
        f"No party is its own authority. Keycloak issues every token. {authorities.registry} says who takes part "
        f"and who is revoked. {authorities.policy} signs the policies that every service decides by. "
        f"{authorities.attestation} measures each party's code, and issues "
        "certificates to approved code only. Each service keeps a journal of what it decided; "
        f"{authorities.audit} takes the records of all journals, and publishes them in one log."
    )


async def identities(system: System, _checks: Checks) -> None:
    """Show each party's certificate, and the code digest it was issued for."""
    life = system.registry.freshness.x509_svid
    paragraph(f"Each running party has a certificate, issued to its approved code, for at most {life} s:")
    rows = []
    for name, certificate in (await certificates(system)).items():
        left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
        code = system.lock.parties[name].code or ""
        rows.append((short(id_of(certificate)), f"{left.total_seconds():.0f} s", f"{code[:16]}…"))
    show(("certificate of", "valid for", "approved code (SHA-256)"), rows)
