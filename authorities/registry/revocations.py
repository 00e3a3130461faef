"""Revocations by operators, besides parties: users, sessions, and tokens with all tokens derived from them."""

from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from authorities.registry.keycloak.admin import Administration, AdministrationError
from authorities.registry.keycloak.events import OURS
from authorities.registry.notify import NOT_APPLICABLE, NOTIFIED, Notifier
from authorities.registry.reasons import RegistryReason
from authorities.registry.state import SILENT, State
from authorities.registry.stream import Stream
from zerotrust.authority.visible import visible
from zerotrust.decision import Denied, Reason
from zerotrust.revocation_list import Kind
from zerotrust.shielded import Shielding, shielded

SHOWN = 1000
"""Entries that an operator is shown: to serialize more would delay all other requests to the registry."""
NOT_REVOKED = f"{NOT_APPLICABLE}: the user was not revoked"
SERVICE_ACCOUNT = "service-account-"
"""Before the id of a client that acts for itself, it makes the name of Keycloak's user for that client."""
NOT_FOR_TOKENS = f"{NOT_APPLICABLE}: every party refuses the token and what was derived from it"


DRIFT = "drift: "
"""The prefix of the cause of a suspension for changed code."""


def _check_cause(cause: str) -> str:
    """Refuse a cause that looks like Keycloak's, whose revocations a later event may reinstate, like drift, after which
    operators reinstate a party once its files are restored, or like a silence, which ends by itself.
    """
    if cause.strip().casefold().startswith((OURS, DRIFT, SILENT)):
        raise ValueError(f"begins with {OURS!r}, {DRIFT!r} or {SILENT!r}")
    return cause


def _printable(text: str) -> str:
    """Refuse what people do not see, and line breaks: names and causes go to terminals and into records."""
    if not all(map(visible, text)):  # control: names-printable
        raise ValueError("has a character that is not visible, or a line break")
    return text


CauseText = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(_printable), AfterValidator(_check_cause)
]
"""The cause that an operator gives, for the record."""


class Revocation(BaseModel):
    """The subject to revoke, and the cause.  A user is given by name, the others by id."""

    kind: Literal["user", "session", "token"]
    name: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
    cause: CauseText = "revoked"


class OperatorRevocations(Shielding):
    """Revokes in the registry first, so that all parties get it at once, and at the realm second."""

    def __init__(self, stream: Stream, kept: State, realm: Administration, notifier: Notifier) -> None:
        super().__init__()
        self._stream, self._kept, self._realm, self._notifier = stream, kept, realm, notifier

    async def revoke(self, revocation: Revocation, operator: str) -> str:
        """Revoke, and return the result of notifying the realm.  Raises `Denied` if there is no such user.

        `operator` is the caller's user id, or its SPIFFE ID.  Operators cannot revoke themselves, because the last one
        could not undo it.  So an operator who revokes another one stays, and can reinstate.
        """
        kind, name = revocation.kind, await self._id(revocation)
        # By its id, as Keycloak takes its name in any case.
        own = await self._user_id(f"{SERVICE_ACCOUNT}{operator}") if operator.startswith("spiffe://") else operator
        if kind == "user" and name == own:  # control: revokes-not-itself
            raise Denied(RegistryReason.WOULD_LOCK_OUT, revocation.name)
        notify = kind != "token"
        await self._change(kind, name, f"{revocation.cause} (operator {operator})", operator)
        return await self._notifier.notify((kind, name)) if notify else NOT_FOR_TOKENS

    @shielded
    async def _change(self, kind: Kind, name: str, cause: str, operator: str) -> None:
        """Revoke, unless the operator has been revoked since.  Raises `Denied`.

        Shielded, so that the next one waits until this is on the disk even if this caller is cut off.
        """
        async with self._kept.turn_of(operator):
            await self._stream.change(kind, name, cause, pending=kind != "token")

    async def reinstate(self, revocation: Revocation) -> str:
        """Reinstate a user, at the realm first.  Raises `Denied`, also for a session or token.

        Return the result of notifying the realm; a user who is not revoked is left as they are.
        """
        if revocation.kind != "user":
            raise Denied(Reason.MALFORMED_BODY, f"a {revocation.kind} cannot be reinstated")
        name = await self._id(revocation)
        async with self._notifier.turn(("user", name)):
            if ("user", name) not in self._kept.revoked:
                return NOT_REVOKED
            try:
                await self._realm.enable_user(name)
            except AdministrationError as error:
                raise Denied(Reason.ISSUER_UNAVAILABLE, str(error)) from error
            await self._stream.change("user", name, None)
        return NOTIFIED

    async def _id(self, revocation: Revocation) -> str:
        if revocation.kind != "user":
            return revocation.name
        if (found := await self._user_id(revocation.name)) is None:
            raise Denied(RegistryReason.UNKNOWN_SUBJECT, f"Keycloak knows no user {revocation.name}")
        return found

    async def _user_id(self, name: str) -> str | None:
        try:
            return await self._realm.user_id(name)
        except AdministrationError as error:
            raise Denied(Reason.ISSUER_UNAVAILABLE, str(error)) from error

    def latest(self) -> dict[str, Any]:
        """Return the latest revocations, their number in all, and how long ago each source was read."""
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
