"""Parses verifier keys and signed notes (c2sp.org/signed-note): text, and signatures that name their keys.  Pure."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from zerotrust.tlog.tree import InvalidLog

ED25519, COSIGNATURE = 1, 4
"""The types of signature that are used here: a log's own, and a witness's with its time (c2sp.org/tlog-cosignature)."""

MAX_NOTE = 65_536
"""Bytes of a note: 16 signatures have to be accepted, and a large one has 3 kB (c2sp.org/signed-note)."""

_NAME = r"[^\s+]{1,200}"
_LINE = re.compile(rf"— ({_NAME}) ([A-Za-z0-9+/=]+)\n")
_VKEY = re.compile(rf"({_NAME})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/=]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
"""No note has one of these; the newline is allowed."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and its type, as a policy names it."""

    name: str
    kind: int
    public: bytes
    """32 bytes (RFC 8032)."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which signatures name this key, together with its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise `InvalidLog` unless this key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise InvalidLog(f"the signature is not that of {self.name}") from error

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"


def parse_verifier_key(text: str) -> VerifierKey:
    """Parse a verifier key ("vkey").  Raises `InvalidLog`."""
    if not (parts := _VKEY.fullmatch(text)):
        raise InvalidLog("not a verifier key")
    material = decode_base64(parts[3])
    key = VerifierKey(parts[1], material[0] if material else 0, material[1:])
    if key.kind not in {ED25519, COSIGNATURE} or len(key.public) != 32:
        raise InvalidLog(f"the key of {key.name} is neither Ed25519 nor an Ed25519 cosigner's")
    if key.key_id.hex() != parts[2]:
        raise InvalidLog(f"the key of {key.name} has another id than it says")
    return key


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line of a note; it has not been verified."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures; none has been verified."""

    text: str
    signatures: tuple[Signature, ...]

    def by(self, key: VerifierKey) -> Iterator[bytes]:
        """Yield the signatures that name a key; each has to be verified."""
        return (one.value for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id))

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"


def parse_note(raw: bytes) -> Note:
    """Parse a note.  Raises `InvalidLog`."""
    if len(raw) > MAX_NOTE:
        raise InvalidLog(f"a note of more than {MAX_NOTE} bytes")
    try:
        whole = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidLog("a note that is not UTF-8") from error
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines or _CONTROL.search(whole):
        raise InvalidLog("not a note: text, an empty line, signatures")
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Parse signature lines.  Raises `InvalidLog`."""
    found = _LINE.findall(lines)
    if sum(len(f"— {name} {value}\n") for name, value in found) != len(lines):
        raise InvalidLog("a line that is not a signature")
    values = [(name, decode_base64(value)) for name, value in found]
    if any(len(value) <= 4 for _, value in values):
        raise InvalidLog("a signature that is too short")
    return tuple(Signature(name, value[:4], value[4:]) for name, value in values)


def decode_base64(text: str) -> bytes:
    """Decode base64 that has one spelling (RFC 4648 sections 3.5 and 4).  Raises `InvalidLog`."""
    try:
        found = base64.b64decode(text)
    except binascii.Error as error:
        raise InvalidLog("not base64") from error
    if base64.b64encode(found).decode() != text:
        raise InvalidLog("base64 in another spelling")
    return found
