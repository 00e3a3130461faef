"""What operators revoke besides parties: users, sessions, tokens with all that was derived from them."""

from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from authorities.registry.keycloak.admin import AdministrationError
from authorities.registry.keycloak.events import OURS
from authorities.registry.notify import NOTIFIED, Notifier, Realm
from authorities.registry.reasons import RegistryReason
from authorities.registry.state import State
from authorities.registry.stream import Stream
from zerotrust.decision import Denied, Reason

SHOWN = 1000
"""Entries that an operator is shown: to write down more would hold up everybody who waits for the registry."""
NOT_APPLICABLE = "not told: every party refuses the token and what was derived from it"


PRINTABLE = r"^[^\p{C}\p{Zl}\p{Zp}]+$"
"""No control or format characters, and no line breaks: names and causes go to terminals and into records."""


def _not_keycloaks(cause: str) -> str:
    """Refuse a cause that reads as one of Keycloak's events: what those revoke, a later event reinstates."""
    if cause.startswith(OURS):
        raise ValueError(f"begins with {OURS!r}")
    return cause


CauseText = Annotated[str, Field(max_length=200, pattern=PRINTABLE), AfterValidator(_not_keycloaks)]
"""Why an operator revokes something, for the record."""


class Revocation(BaseModel):
    """What to revoke, and why.  A user is given by name, all else by its id."""

    kind: Literal["user", "session", "token"]
    name: str = Field(max_length=512, pattern=PRINTABLE)
    cause: CauseText = "revoked"


class Revocations:
    """Revokes: here first, so that everybody hears of it at once, and at the realm second."""

    def __init__(self, stream: Stream, kept: State, realm: Realm, notifier: Notifier) -> None:
        self._stream, self._kept, self._realm, self._notifier = stream, kept, realm, notifier

    async def revoke(self, asked: Revocation, operator: str) -> str:
        """Return what came of telling the realm.  Raises `Denied` where nobody knows whom that is.

        `operator` is the id of who asks.  Operators do not revoke themselves: the only one could not come back.
        """
        name, to_tell = await self._id(asked), asked.kind != "token"
        if (asked.kind, name) == ("user", operator):
            raise Denied(RegistryReason.WOULD_LOCK_OUT, asked.name)
        await self._stream.change(asked.kind, name, f"{asked.cause} (operator {operator})", pending=to_tell)
        return await self._notifier.tell((asked.kind, name)) if to_tell else NOT_APPLICABLE

    async def reinstate(self, asked: Revocation) -> str:
        """Let a user act again: at the realm first.  Raises `Denied`, also for what does not come back."""
        if asked.kind != "user":
            raise Denied(Reason.MALFORMED_BODY, f"a {asked.kind} does not come back")
        name = await self._id(asked)
        async with self._notifier.turn(("user", name)):
            try:
                await self._realm.enable_user(name)
            except AdministrationError as error:
                raise Denied(Reason.ISSUER_UNAVAILABLE, str(error)) from error
            await self._stream.change("user", name, None)
        return NOTIFIED

    async def _id(self, asked: Revocation) -> str:
        if asked.kind != "user":
            return asked.name
        try:
            found = await self._realm.user_id(asked.name)
        except AdministrationError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, str(error)) from error
        if found is None:
            raise Denied(RegistryReason.UNKNOWN_SUBJECT, f"Keycloak knows no user {asked.name}")
        return found

    def latest(self) -> dict[str, Any]:
        """What was revoked last, how much is revoked in all, and how long ago each source was read."""
        latest = list(islice(reversed(self._kept.revoked.items()), SHOWN))
        entries = [
            {"kind": kind, "name": name, "cause": cause, "since": self._kept.since[kind, name]}
            for (kind, name), cause in reversed(latest)
        ]
        return {
            "number": self._kept.number,
            "sources": self._stream.ages(),
            "entries": len(self._kept.revoked),
            "revoked": entries,
        }
