"""Asks the issuer as a client would: with the system's CA, and under the name that all tokens have."""

import email.utils
import http.client
import json
import socket
import ssl
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from scripts.diagnosis.issuer import Answer

SECONDS = 5
MOST = 262_144
METADATA = "/.well-known/openid-configuration"


def ask(issuer: str, ca: bytes | None, ca_file: str, old_copy: str = "") -> Answer:
    """Return what the issuer answers to a client that trusts this CA."""
    if ca is None:
        return Answer()
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(ca)
        file.flush()
        try:
            context = ssl.create_default_context(cafile=file.name)
        except ssl.SSLError:
            return Answer()
    ends = [ssl.cert_time_to_seconds(str(found["notAfter"])) for found in context.get_ca_certs()]
    known = Answer(ca_file=ca_file, ca_ends=min(ends, default=0), old_copy=old_copy)
    place = urlsplit(issuer)
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=SECONDS, context=context)
    try:
        connection.connect()
        certificate = connection.sock.getpeercert() or {}
        began = time.time()
        connection.request("GET", place.path + METADATA)
        answer = connection.getresponse()
        content = answer.read(MOST)
        date = answer.getheader("Date")
    except ssl.SSLCertVerificationError as error:
        return replace(known, verify_code=error.verify_code, problem=error.verify_message)
    except (OSError, http.client.HTTPException) as error:
        return replace(known, problem=_words(error))
    finally:
        connection.close()
    return replace(
        known,
        certificate_ends=ssl.cert_time_to_seconds(str(certificate["notAfter"])),
        status=answer.status,
        issuer=_issuer(content),
        clock_ahead=_ahead(date, began),
    )


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came within {SECONDS} s"
    if isinstance(error, socket.gaierror):
        return "the name `localhost` is not known here: is it in /etc/hosts?"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


def _issuer(content: bytes) -> str:
    try:
        found = json.loads(content)
    except ValueError:
        return ""
    return str(found.get("issuer", "")) if isinstance(found, dict) else ""


def _ahead(date: str | None, asked: float) -> float | None:
    """Return by how many seconds the other clock is ahead; it tells whole seconds, and the answer took some time."""
    try:
        theirs = email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    now = time.time()
    return 0.0 if asked - 1 <= theirs <= now else theirs - (now if theirs > now else asked - 1)


def ca_of_run(folder: str) -> bytes | None:
    """Return the CA of the system that runs in this folder."""
    try:
        return Path(folder, "ca.pem").read_bytes()
    except OSError:
        return None
