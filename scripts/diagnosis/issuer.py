"""The issuer's answer, the certificates, and the clock of whoever answers.  Pure."""

from dataclasses import dataclass

from scripts.diagnosis.machine import SET_CLOCK
from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

CLOCK_SKEW = 5
"""Seconds by which two clocks may differ: `zerotrust/token_validation.py` has the same."""
SOON = 2 * 86400
"""Seconds before its end at which a certificate is worth a word."""
NOT_YET_VALID, EXPIRED = 9, 10
"""OpenSSL's codes, as in `X509_verify_cert_error_string`; every other one means that another CA has signed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came from the issuer's address, as a client with the system's CA sees it."""

    ca_file: str = ""
    """Where the CA comes from, in words; empty if there is none."""
    ca_ends: float = 0
    problem: str = ""
    """Why there is no answer."""
    verify_code: int = 0
    """OpenSSL's, if the certificate was refused."""
    certificate_ends: float = 0
    status: int = 0
    issuer: str = ""
    clock_ahead: float | None = None
    """Seconds by which the issuer's clock is ahead of this machine's."""
    old_copy: str = ""
    """A file with the CA of another run, which a person copied here as the docs say."""


def renew(way: str) -> str:
    """Return the command that makes new certificates."""
    if way == "local":
        return "make down && make up"
    return "docker compose restart attestation && docker compose restart keycloak"


def clock(answer: Answer | None) -> Verdict | None:
    """Whether the issuer's clock differs from this machine's, as on a laptop whose virtual machine has slept."""
    if answer is None or answer.clock_ahead is None or abs(answer.clock_ahead) <= CLOCK_SKEW + 1:
        return None
    said = f"Keycloak's clock is {answer.clock_ahead:+.0f} s off this machine's; tokens allow {CLOCK_SKEW} s"
    return wrong("clock", said, f"{SET_CLOCK}; Docker Desktop: restart it")


def certificates(answer: Answer | None, now: float, way: str) -> Verdict:
    """Whether the CA and Keycloak's certificate are valid, and belong together."""
    if answer is None or not answer.ca_file:
        return skipped("certificates", "attestation has not written its CA" if answer else "Keycloak does not run")
    if answer.verify_code or 0 < answer.ca_ends < now:
        return _refused(answer, now, way)
    if not answer.certificate_ends:
        return skipped("certificates", "there is no connection to Keycloak")
    ends = min(answer.ca_ends or answer.certificate_ends, answer.certificate_ends)
    days = f"valid for {(ends - now) / 86400:.0f} more days"
    if ends - now < SOON:
        return note("certificates", f"{days}; they are made at each start", renew(way))
    if answer.old_copy:
        said = f"{answer.old_copy} here has the CA of another run, with which curl refuses this one"
        return note("certificates", said, "docker compose cp attestation:/public/ca.pem .")
    return ok("certificates", days)


def _refused(answer: Answer, now: float, way: str) -> Verdict:
    if 0 < answer.ca_ends < now:
        return wrong("certificates", "the CA's certificate has expired", renew(way))
    if answer.verify_code == EXPIRED:
        return wrong("certificates", "Keycloak's certificate has expired", renew(way))
    if answer.verify_code == NOT_YET_VALID:
        return wrong("certificates", "Keycloak's certificate is not yet valid: this machine's clock is late", SET_CLOCK)
    said = f"Keycloak's certificate is not of the CA in {answer.ca_file}: that is of another run ({answer.problem})"
    return wrong("certificates", said, renew(way) if way == "local" else "docker compose restart keycloak")


def issuer(answer: Answer | None, expected: str, way: str, *, ready: bool) -> Verdict:
    """Whether the issuer's metadata answers, under the one name that all tokens have.

    `ready`: whether Keycloak is healthy; otherwise that was said already.
    """
    if answer is None:
        return skipped("issuer", "Keycloak does not run")
    if answer.verify_code or (answer.problem and not ready):
        return skipped("issuer", "its certificate is refused" if answer.verify_code else "Keycloak is not healthy")
    log = "docker compose logs keycloak" if way == "containers" else "run/keycloak/keycloak.log"
    again = "docker compose restart keycloak" if way == "containers" else "make down && make up"
    if answer.problem:
        return wrong("issuer", f"{expected} does not answer: {answer.problem}", f"{again}   ({log})")
    if answer.status != 200:
        said = f"{expected} answers with status {answer.status}: the realm was not imported"
        return wrong("issuer", said, f"{again}   ({log})")
    if answer.issuer != expected:
        said = f"the issuer calls itself {answer.issuer}, and every party expects {expected}"
        return wrong("issuer", said, "undo changes of KC_HOSTNAME or ZT_ISSUER; docker compose up -d --wait")
    return ok("issuer", expected)
