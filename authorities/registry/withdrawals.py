"""What operators withdraw besides parties: users, sessions, tokens with all that was derived from them."""

from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

from authorities.registry.keycloak import AdministrationError
from authorities.registry.state import State
from authorities.registry.stream import Stream
from authorities.registry.telling import TOLD, Aside, tell
from zerotrust.errors import Refusal
from zerotrust.policy import Reason
from zerotrust.standing import Subject

NOBODY_TO_TELL = "not told: it does not know what was derived from a token"


class Realm(Protocol):
    """What the realm does about it; each raises `AdministrationError`."""

    async def user_id(self, name: str) -> str | None:
        """The id of the user of that name, if there is one."""

    async def disable_user(self, user: str) -> None:
        """Let a user sign in no more, and end their sessions."""

    async def enable_user(self, user: str) -> None:
        """Let a user sign in again."""

    async def end_session(self, session: str) -> None:
        """End a session."""


class Withdrawal(BaseModel):
    """What to withdraw, and why.  A user is given by name, all else by its id."""

    kind: Literal["user", "session", "token"]
    name: str = Field(min_length=1, max_length=512)
    cause: str = Field(default="withdrawn", min_length=1, max_length=200)


class Withdrawals:
    """Withdraws: here first, so that everybody hears of it at once, and at the realm second."""

    def __init__(self, stream: Stream, kept: State, realm: Realm) -> None:
        self._stream, self._kept, self._realm = stream, kept, realm
        self._aside = Aside()

    async def withdraw(self, asked: Withdrawal, operator: str) -> str:
        """Return what came of telling the realm.  Raises `Refusal` where nobody knows whom that is."""
        name = await self._id(asked)
        await self._stream.change(asked.kind, name, f"{asked.cause} (operator {operator})")
        if asked.kind == "token":
            return NOBODY_TO_TELL
        told = await self._told(asked.kind, name)
        if told != TOLD:  # a session that lives on there gets new tokens when ours is forgotten
            withdrawn: Subject = (asked.kind, name)
            self._aside.until_told(
                lambda: self._told(asked.kind, name), wanted=lambda: withdrawn in self._kept.withdrawn
            )
        return told

    async def _told(self, kind: str, name: str) -> str:
        return await tell((self._realm.disable_user if kind == "user" else self._realm.end_session)(name))

    async def reinstate(self, asked: Withdrawal) -> str:
        """Let a user act again: at the realm first.  Raises `Refusal`, also for what does not come back."""
        if asked.kind != "user":
            raise Refusal(Reason.MALFORMED_BODY, f"a {asked.kind} does not come back")
        name = await self._id(asked)
        try:
            await self._realm.enable_user(name)
        except AdministrationError as error:
            raise Refusal(Reason.ISSUER_UNAVAILABLE, str(error)) from error
        await self._stream.change("user", name, None)
        return TOLD

    async def _id(self, asked: Withdrawal) -> str:
        if asked.kind != "user":
            return asked.name
        try:
            found = await self._realm.user_id(asked.name)
        except AdministrationError as error:
            raise Refusal(Reason.ISSUER_UNAVAILABLE, str(error)) from error
        if found is None:
            raise Refusal(Reason.UNKNOWN_SUBJECT, f"Keycloak knows no user {asked.name}")
        return found

    def all(self) -> dict[str, Any]:
        """Everything that is withdrawn now, and how long ago each source was read."""
        entries = [
            {"kind": kind, "name": name, "cause": cause, "since": self._kept.since[kind, name]}
            for (kind, name), cause in self._kept.withdrawn.items()
        ]
        return {"number": self._kept.number, "sources": self._stream.ages(), "withdrawn": entries}
