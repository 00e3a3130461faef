"""Writes and reads the payloads of the registry's feed (`docs/reference/feed.md`).

Revocations are security event tokens (RFC 8417).  A single change has an event type of CAEP, RISC or OAuth; all others
have types of our own, under the trust domain's name.  This is not an SSF stream: `feed.py` defines the delivery, not
RFC 8935 or 8936, and there are no subscriptions.
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
    """Return the payload of a whole document, with the number of its version."""
    return _line(issuer, number=number, document=version.model_dump(mode="json"))


def one_change(issuer: str, number: int, subject: Revocable, cause: str | None) -> bytes:
    """Return the payload of one change: a subject was revoked; or reinstated, if there is no cause."""
    kind, name = subject
    event = {"cause": cause} if cause else {}
    sub_id = {"format": "opaque", "id": f"{kind} {name}"}
    return _line(issuer, number=number, events={_REVOKED[kind] if cause else _REINSTATED: event}, sub_id=sub_id)


def all_changes(issuer: str, number: int, changes: Sequence[tuple[Revocable, str | None]]) -> bytes:
    """Return the payload of several changes.  `number` is that of the first; each further one has the next number."""
    if len(changes) == 1:
        return one_change(issuer, number, *changes[0])
    event = {"changes": [[*subject, cause] for subject, cause in changes]}
    return _line(issuer, number=number, events={_own_type(audience(issuer), "changes"): event})


def state(issuer: str, number: int, revoked: Mapping[Revocable, str], part: int = 1, parts: int = 1) -> bytes:
    """Return one part of the whole state as of change `number`; parts are counted from 1."""
    entries = [[*subject, cause] for subject, cause in revoked.items()]
    event = {"part": part, "parts": parts, "revoked": entries}
    return _line(issuer, number=number, events={_own_type(audience(issuer), "state"): event})


def heartbeat(issuer: str, numbers: Mapping[str, int], sources: Mapping[str, float]) -> bytes:
    """Return the payload of a heartbeat: the last number of each topic, and the age of each source of revocations.

    The age is in seconds since the source was last read completely.
    """
    return _line(issuer, numbers=dict(numbers), sources=dict(sources))


def audience(party: str) -> str:
    """Return the audience of the feed: the trust domain of the party with this SPIFFE ID."""
    return f"spiffe://{party.removeprefix('spiffe://').partition('/')[0]}"


def _own_type(audience: str, name: str) -> str:
    """Return an event type of our own, under the trust domain's name (RFC 4151)."""
    return f"tag:{audience.removeprefix('spiffe://')},2026:event-type/{name}"


def _line(issuer: str, **claims: Any) -> bytes:
    """Return a payload.  `iat` has fractions (RFC 7519 section 2), because the delay of a heartbeat counts."""
    envelope = {"iss": issuer, "aud": audience(issuer), "iat": time.time(), "jti": secrets.token_hex(8)}
    return orjson.dumps(envelope | claims)


def read_heartbeat(claims: Mapping[str, Any], *, now: float) -> tuple[dict[str, int], float]:
    """Return the last number of each topic, and the age in seconds of the source that was read longest ago.

    `now` is in seconds since the epoch.  The delay of the heartbeat adds to the age, so that delaying it gains nothing.
    Raises `InvalidStatement`.
    """
    try:
        oldest = max(claims["sources"].values(), default=0.0) + max(0.0, now - claims["iat"])
        return {str(topic): int(number) for topic, number in claims["numbers"].items()}, oldest
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidStatement(f"malformed heartbeat: {error}") from error


class RevocationEvents:
    """The topic of revocations; see `Topic`."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    @property
    def number(self) -> int | None:
        return self._revocations.number

    def take(self, claims: Mapping[str, Any]) -> None:
        """Apply one verified event.  Raises `Gap`, and `InvalidStatement` if it is malformed."""
        try:
            ((kind, event),) = claims["events"].items()
            number, own = claims["number"], claims["aud"]
            if kind == _own_type(own, "state"):
                revoked = {(_kind(of), str(name)): str(cause) for of, name, cause in event["revoked"]}
                self._revocations.replace(number, revoked, event["part"], event["parts"])
            elif kind == _own_type(own, "changes"):
                for later, (of, name, cause) in enumerate(event["changes"]):
                    self._revocations.change(number + later, (_kind(of), str(name)), str(cause) if cause else None)
            else:
                of, _, name = claims["sub_id"]["id"].partition(" ")
                if kind != (_REVOKED[of] if "cause" in event else _REINSTATED):
                    raise ValueError(kind)
                self._revocations.change(number, (_kind(of), name), event.get("cause"))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InvalidStatement(f"malformed event: {error}") from error


def _kind(name: Any) -> Kind:
    if name not in get_args(Kind):
        raise ValueError(f"{name!r} cannot be revoked")
    kind: Kind = name
    return kind
