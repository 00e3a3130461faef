"""The files of the reader of receipts: whom to accept, the authorities, and the proof."""

from pathlib import Path
from typing import Annotated

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from evidence import Accepted, Evidence, Party, approved, evidence_of
from zerotrust.audit.forms import Sha256, SpiffeId
from zerotrust.authority.files.lock import LOCK, REGISTRY, load_lock
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.authority.files.strict_yaml import strict_yaml
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.receipts.carried import HEADER
from zerotrust.tlog.proof import MAX_EVIDENCE
from zt.errors import CommandError

MAX_FILE = 1 << 20
"""Bytes of a file that says whom to accept, or of the authorities: each has a few kilobytes."""

_Digests = Annotated[list[Sha256], Field(min_length=1)]


class _FrontDoor(BaseModel):
    """A party that users' clients call."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: _Digests
    clients: Annotated[list[str], Field(min_length=1)]


_ACCEPTED = TypeAdapter(dict[SpiffeId, _Digests | _FrontDoor])


def read_answer(path: Path) -> bytes:
    """Return an answer, or a request, as it was sent.  Raises `CommandError`."""
    return _content(path, MAX_ANSWER)


def load_header(path: Path) -> str:
    """Return the receipt among saved headers, as `curl -D` writes them; empty without one.  Raises `CommandError`."""
    lines = _content(path).decode(errors="replace").splitlines()
    found = [value.strip() for name, _, value in (line.partition(":") for line in lines) if name.lower() == HEADER]
    return found[0] if len(found) == 1 else ""


def load_approved(system: Path) -> Accepted:
    """Return whom the registry and the lock in that folder approve.  Raises `CommandError`."""
    try:
        return approved(load_registry(system / REGISTRY), load_lock(system / LOCK).parties)
    except RegistryError as error:
        raise CommandError(f"{error}.  --accept FILE says whom to accept instead.", "no_registry") from error


def load_accepted(path: Path) -> Accepted:
    """Return whom a file accepts: YAML or JSON, as docs/reference/receipts.md says.  Raises `CommandError`."""
    try:
        found = _ACCEPTED.validate_python(strict_yaml(_content(path)))
    except ValueError as error:
        text = f"{path} does not say whom to accept: it needs SPIFFE IDs, each with `code` digests, or an entry party."
        raise CommandError(text, "malformed_accept") from error
    parties = {party: _party(entry) for party, entry in found.items()}
    if not any(party.clients for party in parties.values()):
        text = f"{path} names no entry party: the party that your client calls needs `code` and `clients`."
        raise CommandError(text, "malformed_accept")
    return Accepted(parties)


def _party(entry: list[str] | _FrontDoor) -> Party:
    if isinstance(entry, _FrontDoor):
        return Party(frozenset(entry.code), clients=frozenset(entry.clients))
    return Party(frozenset(entry))


def load_authorities(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file.  Raises `CommandError`."""
    try:
        return x509.load_pem_x509_certificates(_content(path))
    except ValueError as error:
        raise CommandError(f"{path} has no certificates: --ca FILE names the authority's.", "malformed_ca") from error


def load_evidence(path: Path) -> Evidence:
    """Return the proof in a file, as the orchestrator gives it.  Raises `CommandError`."""
    try:
        return evidence_of(_content(path, MAX_EVIDENCE))
    except FileNotFoundError as error:
        text = (
            f"There is no proof {path}: soon after the answer, GET /receipts/DIGEST at the orchestrator gives it "
            "(`zt receipt digest`).  Without it, --export FILE verifies all but the time."
        )
        raise CommandError(text, "no_proof") from error
    except ValueError as error:
        raise CommandError(
            f"{path} is not a proof: {error}.  If it has a refusal, ask again.", "malformed_proof"
        ) from error


def _content(path: Path, most: int = MAX_FILE) -> bytes:
    """Return what a file has.  Raises `CommandError`, and `FileNotFoundError` where a caller explains that."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError as error:
        if most == MAX_EVIDENCE:
            raise
        raise CommandError(f"There is no file {path}.", "unreadable") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", "unreadable") from error
    if len(content) > most:
        raise CommandError(f"{path} has more than {most:,} bytes.", "too_large")
    return content
