"""What the lines of the registry's feed say, as they are made and read (`docs/feed.md`).

Revocations are security event tokens (RFC 8417).  A single one is an event in the manner of CAEP and RISC; all others
are of our own types, under the name of the trust domain.  This is no SSF stream: it is delivered as `feed.py` says, not
by RFC 8935 or 8936, and nobody subscribes.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import orjson

from zerotrust.registry.snapshot import Document
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import Kind, Revocable
from zerotrust.spiffe.statement import InvalidStatement

_REVOKED = {
    "party": "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "user": "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "session": "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "token": "https://schemas.openid.net/secevent/oauth/event-type/token-revoked",
    "before": "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked",
}
_REINSTATED = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"


def document(issuer: str, number: int, version: Document) -> bytes:
    """The payload of a whole document: the version of that number."""
    return _line(issuer, number=number, document=version.model_dump(mode="json"))


def changed(issuer: str, number: int, subject: Revocable, cause: str | None) -> bytes:
    """A security event token's payload: this subject was revoked, or with no cause reinstated."""
    kind, name = subject
    event = {"cause": cause} if cause else {}
    sub_id = {"format": "opaque", "id": f"{kind} {name}"}
    return _line(issuer, number=number, events={_REVOKED[kind] if cause else _REINSTATED: event}, sub_id=sub_id)


def all_changed(issuer: str, number: int, changes: Sequence[tuple[Revocable, str | None]]) -> bytes:
    """The same of several subjects in one: `number` is that of the first, and each following one has the next."""
    if len(changes) == 1:
        return changed(issuer, number, *changes[0])
    event = {"changes": [[*subject, cause] for subject, cause in changes]}
    return _line(issuer, number=number, events={_own(audience(issuer), "changes"): event})


def state(issuer: str, number: int, revoked: Mapping[Revocable, str], part: int = 1, parts: int = 1) -> bytes:
    """One of the parts of the whole state as of change `number`, counted from 1."""
    entries = [[*subject, cause] for subject, cause in revoked.items()]
    event = {"part": part, "parts": parts, "revoked": entries}
    return _line(issuer, number=number, events={_own(audience(issuer), "state"): event})


def heartbeat(issuer: str, numbers: Mapping[str, int], sources: Mapping[str, float]) -> bytes:
    """`numbers` are the last of each topic; each source of revocations was read completely so many seconds ago."""
    return _line(issuer, numbers=dict(numbers), sources=dict(sources))


def audience(party: str) -> str:
    """Whom the feed is for: everybody of the trust domain of that party, by its SPIFFE ID."""
    return f"spiffe://{party.removeprefix('spiffe://').partition('/')[0]}"


def _own(audience: str, name: str) -> str:
    """An event type of the trust domain's own (RFC 4151)."""
    return f"tag:{audience.removeprefix('spiffe://')},2026:event-type/{name}"


def _line(issuer: str, **claims: Any) -> bytes:
    """`iat` is to the fraction: how late a heartbeat comes counts (RFC 7519 section 2)."""
    envelope = {"iss": issuer, "aud": audience(issuer), "iat": time.time(), "jti": secrets.token_hex(8)}
    return orjson.dumps(envelope | claims)


def read_heartbeat(claims: Mapping[str, Any], *, now: float) -> tuple[dict[str, int], float]:
    """The last number of each topic, and how many seconds ago the source that was read longest ago was read.

    `now` in seconds since the epoch: the age is as of when it was said, so that whoever holds it back gains nothing.
    Raises `InvalidStatement`.
    """
    try:
        oldest = max(claims["sources"].values(), default=0.0) + max(0.0, now - claims["iat"])
        return {str(topic): int(number) for topic, number in claims["numbers"].items()}, oldest
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidStatement(f"no heartbeat: {error}") from error


class RevocationEvents:
    """The topic of revocations; see `Topic`."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    @property
    def number(self) -> int | None:
        """The number of the last change."""
        return self._revocations.number

    def take(self, claims: Mapping[str, Any]) -> None:
        """Apply one verified event.  Raises `Gap`, and `InvalidStatement` for what is none of ours."""
        try:
            ((kind, event),) = claims["events"].items()
            number, own = claims["number"], claims["aud"]
            if kind == _own(own, "state"):
                revoked = {(_kind(of), str(name)): str(cause) for of, name, cause in event["revoked"]}
                self._revocations.replace(number, revoked, event["part"], event["parts"])
            elif kind == _own(own, "changes"):
                for later, (of, name, cause) in enumerate(event["changes"]):
                    self._revocations.change(number + later, (_kind(of), str(name)), str(cause) if cause else None)
            else:
                of, _, name = claims["sub_id"]["id"].partition(" ")
                if kind != (_REVOKED[of] if "cause" in event else _REINSTATED):
                    raise ValueError(kind)
                self._revocations.change(number, (_kind(of), name), event.get("cause"))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InvalidStatement(f"no event of ours: {error}") from error


def _kind(name: Any) -> Kind:
    if name not in get_args(Kind):
        raise ValueError(f"{name!r} cannot be revoked")
    kind: Kind = name
    return kind
